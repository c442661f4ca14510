/** What operators can do, joined: each change is one value in the store, by compare-and-swap, with an audit record. */
import type {Changer} from './changes.ts';
import type {Fleet} from './fleet.ts';
import type {Lookup} from './operations/lookup.ts';
import {machineOperations} from './operations/machines.ts';
import {policyOperations} from './operations/policy.ts';
import {releaseOperations} from './operations/releases.ts';
import {rolloutOperations} from './operations/rollouts.ts';

export type Operations = ReturnType<typeof createOperations>;

/** Every operation throws what is wrong with its names (`unknown-*`), its sense, or the store (changes.ts). */
export function createOperations(fleet: Fleet, changer: Changer, lookup: Lookup) {
  const tools = {fleet, changer, lookup};
  return {
    ...policyOperations(tools),
    ...releaseOperations(tools),
    ...rolloutOperations(tools),
    ...machineOperations(tools),
  };
}
