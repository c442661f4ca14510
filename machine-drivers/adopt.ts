/** Machines of this store that a platform knows by their tags, taken into the store again. */
import type {Driver} from './driver.ts';
import {MachineError} from './errors.ts';
import {driverContext} from './machine.ts';
import type {MachineDeps} from './machine.ts';
import {creationPlan} from './plan.ts';
import {machineUser} from './ports.ts';
import {recordDone} from './store/journal.ts';
import {READY} from './store/ledger.ts';
import {RECORD_SCHEMA} from './store/record.ts';

/**
 * Returns the names. Their SSH keys are lost with the store that held them: Docker and power work, ssh does not.
 * Throws `no-such-machine` for a wanted name that is not found.
 */
export async function adoptMachines(
  deps: MachineDeps,
  driver: Driver,
  settings: unknown,
  wanted: readonly string[],
): Promise<readonly string[]> {
  if (driver.list === undefined)
    throw new MachineError('bad-setting', `${driver.name} cannot tell which machines are of this store`);
  const found = await driver.list(settings, await driverContext(deps));
  const missing = wanted.find(name => !found.some(one => one.name === name));
  if (missing !== undefined) {
    throw new MachineError('no-such-machine', `there is no machine "${missing}" of this store there`, {
      remedy: found.length === 0 ? 'there is none' : `there is ${found.map(one => one.name).join(', ')}`,
    });
  }
  const adopted: string[] = [];
  for (const {uuid, name, generation, created, resources} of found) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    await using _ = await deps.store.lock(name, deps.signal);
    if ((await deps.store.names()).includes(name)) continue;
    await deps.store.add({
      schema: RECORD_SCHEMA,
      uuid,
      name,
      generation,
      driver: driver.name,
      user: driver.login?.(settings) ?? machineUser,
      created,
      settings,
    });
    const journal = await deps.openJournal(deps.store.ledgerPath(name));
    for (const step of creationPlan(driver, settings))
      await recordDone(journal, deps.runtime.clock, step.name, resources);
    await recordDone(journal, deps.runtime.clock, READY, {});
    adopted.push(name);
  }
  return adopted;
}
