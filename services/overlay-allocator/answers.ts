/** From errors to HTTP. */
import {CallerDenied} from './callers.ts';
import {AllocatorError} from './errors.ts';

export interface ErrorReply {
  readonly status: number;
  readonly kind: string;
  readonly message: string;
}

/** What is answered for an error of the allocator, of the framework, or of anything else. */
export function replyFor(error: unknown): ErrorReply {
  if (error instanceof AllocatorError) {
    const message = error.remedy === undefined ? error.message : `${error.message}: ${error.remedy}`;
    const fault = ['unreachable', 'settling', 'contended'].includes(error.code);
    return {status: fault ? 503 : error.code === 'unknown-network' ? 404 : 409, kind: error.code, message};
  }
  if (error instanceof CallerDenied) {
    const kind = error.statusCode === 401 ? 'not-authenticated' : 'not-allowed';
    return {status: error.statusCode, kind, message: error.message};
  }
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (error instanceof Error && status >= 400 && status < 500)
    return {status, kind: status === 413 ? 'body-too-large' : 'malformed', message: error.message};
  return {status: 503, kind: 'fault', message: 'the server could not answer'};
}
