/** Machines by their UUIDs, as everything outside of this store knows them. */
import type {MachineState} from './driver.ts';
import {MachineError} from './errors.ts';
import type {MachineDeps} from './machine.ts';
import {observeStored} from './observation.ts';
import type {StoredMachine} from './store/store.ts';

/** `removed`: it was in this store and its driver destroyed it. `unknown`: this store cannot tell. */
export type Sighting =
  | {readonly kind: 'here'; readonly name: string; readonly state: MachineState}
  | {readonly kind: 'removed'}
  | {readonly kind: 'unknown'};

export async function sightMachine(deps: MachineDeps, uuid: string): Promise<Sighting> {
  const stored = await findByUuid(deps, uuid);
  if (stored !== undefined) {
    const {state} = await observeStored(deps, stored);
    return {kind: 'here', name: stored.record.name, state};
  }
  return (await deps.store.wasRemoved(uuid)) ? {kind: 'removed'} : {kind: 'unknown'};
}

/** Undefined where no record that can be read has it. */
export async function findByUuid({store}: MachineDeps, uuid: string): Promise<StoredMachine | undefined> {
  for (const name of await store.names()) {
    try {
      const stored = await store.load(name);
      if (stored?.record.uuid === uuid) return stored;
    } catch (error) {
      // It may be the one that is looked for: then this store cannot tell, and says so.
      if (!(error instanceof MachineError)) throw error;
    }
  }
  return undefined;
}
