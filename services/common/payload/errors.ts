/** What can go wrong with an update payload, on either side. */
import {HawserError} from '../errors.ts';

export type PayloadErrorCode =
  /** Bytes that do not hash to what the signed manifest leads to; context: `layer`, and `block` or `piece`. */
  | 'payload-damaged'
  /** A payload of a later format than this reader knows. */
  | 'payload-too-new'
  /** No repository answered, or none to the end. */
  | 'repository-unreachable'
  /** The repositories answer, but do not have the file (404, 403, ...). */
  | 'payload-missing'
  /** The target is too small for the release. */
  | 'slot-too-small'
  /** What was written is not what is read back: a failing disk. */
  | 'slot-damaged'
  /** Every block fits its leaf, yet the whole does not hang from the signed root hash. */
  | 'root-hash-differs'
  /** The input of a publisher does not belong together. */
  | 'bad-release'
  | 'aborted';

export class PayloadError extends HawserError<PayloadErrorCode> {}

/** The parts of a payload, from outside in: named by `payload-damaged`. */
export type PayloadLayer = 'index' | 'leaves' | 'table' | 'blocks' | 'patch' | 'uki' | 'boot-loader';
