/** What a rack refuses, cannot do, or finds broken. Codes are never reused for another meaning. */
import type {RackRefusal} from '../../common/contracts/rack.ts';
import {HawserError} from '../../common/errors.ts';

export type RackErrorCode =
  | RackRefusal
  /** No machine, or more than one, has what was named. */
  | 'no-such-machine'
  | 'ambiguous'
  /** The state does not allow it. */
  | 'wrong-state'
  | 'wrong-fingerprint'
  | 'no-group'
  | 'no-disk'
  | 'record-damaged'
  | 'store-busy';

export class RackError extends HawserError<RackErrorCode> {}
