/** What goes wrong with the lock itself. That a machine must wait is no error: see LockRefusal in the contract. */
import {HawserError} from '../common/errors.ts';

export type LockErrorCode =
  /** etcd does not answer, or has no majority. */
  | 'unreachable'
  /** Others changed the group again and again between read and write. */
  | 'contended'
  /** The stored value was written by a newer version of Hawser. */
  | 'newer-schema'
  /** The stored value is not one that any version of Hawser writes. */
  | 'damaged-value'
  /** The slot is no longer this holder's. */
  | 'fenced'
  /** The caller was gone before its request could be worked off. */
  | 'abandoned'
  | 'not-held'
  | 'unknown-machine'
  | 'unknown-group';

export class LockError extends HawserError<LockErrorCode> {}
