/** What enrolment refuses, and why. */
import {HawserError} from '../../common/errors.ts';

export type EnrolmentErrorCode =
  | 'malformed'
  | 'unknown-machine'
  | 'bad-mac'
  | 'token-used'
  | 'token-expired'
  | 'host-key-mismatch'
  | 'bad-csr'
  | 'weak-key'
  | 'bad-name'
  | 'stale-generation'
  | 'issued-differently'
  | 'broken-ca'
  | 'ca-expired'
  | 'store-broken'
  | 'store-busy';

export class EnrolmentError extends HawserError<EnrolmentErrorCode> {}
