/** What can go wrong with the keys that sign boot files. */
import {HawserError} from '../../services/common/errors.ts';

export type KeysErrorCode =
  | 'rotation-unfinished'
  | 'no-rotation'
  | 'keys-missing'
  | 'keys-incomplete'
  | 'keys-readable-by-others'
  | 'bad-signed-data'
  | 'bad-time';

export class KeysError extends HawserError<KeysErrorCode> {}
