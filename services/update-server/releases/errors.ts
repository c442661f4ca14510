/** What can go wrong with releases, their repository and its keys. */
import {HawserError} from '../../common/errors.ts';

export type ReleasesErrorCode =
  | 'keys-missing'
  | 'keys-exist'
  | 'keys-readable-by-others'
  | 'key-damaged'
  | 'passphrase-wrong'
  | 'passphrase-missing'
  | 'not-enough-keys'
  | 'bad-threshold'
  | 'no-repository'
  | 'repository-damaged'
  | 'repository-rolled-back'
  | 'foreign-repository'
  | 'busy'
  | 'bad-version'
  | 'bad-range'
  | 'bad-notes'
  | 'image-damaged'
  | 'unsigned-image'
  | 'unlocked-image'
  | 'version-taken'
  | 'no-such-release'
  | 'withdrawn'
  | 'no-trusted-root';

export class ReleasesError extends HawserError<ReleasesErrorCode> {}
