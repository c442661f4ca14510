/** What the operations share. */
import type {Changer} from '../changes.ts';
import type {Fleet} from '../fleet.ts';
import type {Lookup} from './lookup.ts';

export interface OperationTools {
  readonly fleet: Fleet;
  readonly changer: Changer;
  readonly lookup: Lookup;
}
