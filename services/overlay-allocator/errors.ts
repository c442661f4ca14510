/** What goes wrong with the overlay's allocator. */
import type {OverlayRefusalKind} from '../common/contracts/overlay.ts';
import {HawserError} from '../common/errors.ts';

export type AllocatorErrorCode =
  | OverlayRefusalKind
  /** etcd does not answer, or has no majority. */
  | 'unreachable'
  /** The store was lost a moment ago: hosts are saying again what they hold. */
  | 'settling'
  /** Others changed what was read, again and again. */
  | 'contended';

export class AllocatorError extends HawserError<AllocatorErrorCode> {}
