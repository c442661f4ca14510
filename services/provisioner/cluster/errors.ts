/** What forming a cluster refuses, cannot reach, or finds broken. Codes are never reused for another meaning. */
import {HawserError} from '../../common/errors.ts';

export type ClusterErrorCode =
  | 'bad-name'
  | 'bad-members'
  | 'exists'
  | 'no-such-cluster'
  | 'record-damaged'
  /** A machine belongs to another etcd or Swarm. Nothing was changed. */
  | 'foreign'
  /** A member's data is gone; it cannot simply come back under its old name. */
  | 'member-lost'
  | 'no-private-address'
  | 'unreachable'
  | 'refused'
  | 'late'
  | 'interrupted';

export class ClusterError extends HawserError<ClusterErrorCode> {}
