/** Errors as HTTP answers: one table, so that every code has its status. */
import {describeError} from '../common/errors.ts';
import {ServerError, type ServerErrorCode} from './errors.ts';

const STATUS = {
  malformed: 400,
  'bad-setting': 400,
  unauthenticated: 401,
  forbidden: 403,
  'other-identity': 403,
  forgotten: 403,
  'unknown-channel': 404,
  'unknown-group': 404,
  'unknown-machine': 404,
  'unknown-release': 404,
  'unknown-rollout': 404,
  'unknown-token': 404,
  'ambiguous-name': 409,
  withdrawn: 409,
  'in-use': 409,
  'wrong-state': 409,
  'different-release': 409,
  'newer-schema': 409,
  'damaged-value': 409,
  conflict: 503,
  stale: 503,
  'store-unavailable': 503,
  'etcd-failed': 500,
  'not-loopback': 500,
} as const satisfies Record<ServerErrorCode, number>;

export interface Refusal {
  readonly status: number;
  readonly kind: string;
  readonly message: string;
}

/** What any thrown value becomes; faults say nothing of their inside. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof ServerError) {
    return {status: STATUS[error.code], kind: error.code, message: describeError(error)};
  }
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (status >= 400 && status < 500) {
    const kind = status === 413 ? 'too-large' : status === 415 ? 'unsupported-media-type' : 'malformed';
    return {status, kind, message: error instanceof Error ? error.message : 'bad request'};
  }
  return {status: 500, kind: 'fault', message: 'the server could not answer'};
}
