/** What goes wrong on a host. */
import {HawserError} from '../common/errors.ts';

export type OverlayErrorCode =
  | 'bad-config'
  /** The server does not answer, or cannot reach etcd. */
  | 'unreachable'
  /** The server says no; its kind is in the context. */
  | 'refused'
  /** The request of Docker or of a CNI runtime makes no sense here. */
  | 'bad-request'
  | 'unknown-network'
  | 'exhausted'
  | 'address-held'
  /** The kernel did not do what it was told. */
  | 'dataplane'
  | 'docker';

export class OverlayError extends HawserError<OverlayErrorCode> {}
