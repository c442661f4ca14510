/** What the update server refuses, and why. `kind` of the HTTP answer is the code. */
import {HawserError} from '../common/errors.ts';

export type ServerErrorCode =
  | 'malformed'
  | 'unauthenticated'
  | 'forbidden'
  | 'other-identity'
  | 'forgotten'
  | 'unknown-channel'
  | 'unknown-group'
  | 'unknown-machine'
  | 'unknown-release'
  | 'unknown-rollout'
  | 'unknown-token'
  | 'ambiguous-name'
  | 'withdrawn'
  | 'in-use'
  | 'wrong-state'
  | 'different-release'
  | 'newer-schema'
  | 'damaged-value'
  | 'conflict'
  | 'stale'
  | 'store-unavailable'
  | 'etcd-failed'
  | 'not-loopback'
  | 'bad-setting';

export class ServerError extends HawserError<ServerErrorCode> {}

export function unknownMachine(name: string): ServerError {
  return new ServerError('unknown-machine', `there is no machine "${name}"`, {
    remedy: 'hawser fleet machines shows those that have reported',
  });
}
