/** From errors to HTTP: waiting, refused, unreachable and broken are different answers. */
import {CallerDenied} from './callers.ts';
import {LockError, type LockErrorCode} from './errors.ts';

export interface ErrorReply {
  readonly status: number;
  readonly kind: string;
  readonly message: string;
}

const STATUS = {
  unreachable: 503,
  contended: 503,
  abandoned: 503,
  'damaged-value': 503,
  // The value is sound and this server is too old for it: repeating the request does not help.
  'newer-schema': 412,
  fenced: 409,
  'not-held': 404,
  'unknown-machine': 403,
  'unknown-group': 404,
} as const satisfies Record<LockErrorCode, number>;

/** What is answered for an error of the lock, of the framework, or of anything else. */
export function replyFor(error: unknown): ErrorReply {
  if (error instanceof LockError) {
    const message = error.remedy === undefined ? error.message : `${error.message}: ${error.remedy}`;
    return {status: STATUS[error.code], kind: error.code, message};
  }
  if (error instanceof CallerDenied) {
    const kind = error.statusCode === 401 ? 'not-authenticated' : 'not-allowed';
    return {status: error.statusCode, kind, message: error.message};
  }
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (error instanceof Error && status >= 400 && status < 500) {
    return {status, kind: status === 413 ? 'body-too-large' : 'malformed', message: error.message};
  }
  return {status: 503, kind: 'fault', message: 'the server could not answer'};
}
