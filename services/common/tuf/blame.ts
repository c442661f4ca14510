/** Turns what tuf-js throws into one of our codes. */
import {LengthOrHashMismatchError, UnsignedMetadataError} from '@tufjs/models/dist/error.js';
import {BadVersionError, ExpiredMetadataError, RepositoryError} from 'tuf-js/dist/error.js';
import {TrustError, type TrustErrorCode} from './errors.ts';

/** `what` names the source and the file. */
export function explain(error: unknown, what: string): TrustError {
  if (error instanceof TrustError) return error;
  const [code, verdict, remedy] = verdictOf(error);
  const detail = error instanceof Error ? error.message : String(error);
  return new TrustError(code, `${what} ${verdict} (${detail})`, {
    cause: error,
    ...(remedy === undefined ? {} : {remedy}),
  });
}

function verdictOf(error: unknown): readonly [code: TrustErrorCode, verdict: string, remedy?: string] {
  if (error instanceof ExpiredMetadataError)
    return [
      'metadata-expired',
      'has expired',
      'check this clock; if it is right, run "hawser release refresh" where the repository is kept',
    ];
  if (error instanceof UnsignedMetadataError)
    return ['bad-signature', 'is not signed by enough of the trusted keys'];
  if (error instanceof LengthOrHashMismatchError)
    return ['mismatch', 'is not the file that the signed metadata names'];
  if (error instanceof BadVersionError) return ['rollback', 'has a version that is not the expected one'];
  if (error instanceof RepositoryError) return ['rollback', 'lacks what was there before'];
  return ['malformed', 'is not TUF metadata'];
}
