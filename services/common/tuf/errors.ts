/** Why a repository, or what it serves, is not believed. */
import {HawserError} from '../errors.ts';

/**
 * `unreachable`: no answer; `refused`: an answer that says no; `not-found`: a file that must be there is not;
 * `too-large`: more bytes than the file may have; `metadata-expired`: nobody has signed it anew in time, or the clock is
 * wrong; `bad-signature`: too few of the trusted keys signed; `rollback`: older than what was seen before, or one piece
 * missing that was there; `mismatch`: not the file that the signed metadata names; `malformed`: not metadata at all;
 * `bad-root`: the root that trust begins with cannot be used; `no-such-release`, `withdrawn`: about one version.
 */
export type TrustErrorCode =
  | 'unreachable'
  | 'refused'
  | 'not-found'
  | 'too-large'
  | 'metadata-expired'
  | 'bad-signature'
  | 'rollback'
  | 'mismatch'
  | 'malformed'
  | 'bad-root'
  | 'no-such-release'
  | 'withdrawn';

export class TrustError extends HawserError<TrustErrorCode> {}
