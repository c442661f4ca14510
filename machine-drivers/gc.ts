/** What platforms still have of this store's machines and no record tells of: found by its tags, and removed. */
import {join} from 'node:path';
import {describeError} from '../services/common/errors.ts';
import type {Driver, DriverHost, Found} from './driver.ts';
import {MachineError} from './errors.ts';
import {driverContext, resourcesOfOthers} from './machine.ts';
import type {MachineDeps} from './machine.ts';

export interface Stray {
  readonly driver: Driver;
  readonly settings: unknown;
  readonly found: Found;
}

export interface Search {
  readonly strays: readonly Stray[];
  /** Places that could not be asked: nothing is known of them. */
  readonly failed: readonly string[];
}

/** `further`: a place that no machine of the store tells of. Younger ones than `olderThanMs` may be being made right now. */
export async function findStrays(
  deps: MachineDeps,
  olderThanMs: number,
  further?: {readonly driver: Driver; readonly settings: unknown},
): Promise<Search> {
  const known = new Set<string>();
  const places = new Map<string, {driver: Driver; settings: unknown}>();
  const add = (driver: Driver, settings: unknown) =>
    places.set(JSON.stringify([driver.name, driver.place?.(settings) ?? '']), {driver, settings});
  for (const name of await deps.store.names()) {
    // A record that cannot be read may be that of a machine that is found: then nothing may be removed.
    const stored = await deps.store.load(name);
    if (stored === undefined) continue;
    known.add(stored.record.uuid);
    const driver = deps.registry.find(one => one.name === stored.record.driver);
    if (driver !== undefined) add(driver, stored.record.settings);
  }
  if (further !== undefined) add(further.driver, further.settings);
  const context = await driverContext(deps);
  const now = deps.runtime.clock.now().getTime();
  const strays: Stray[] = [];
  const failed: string[] = [];
  for (const {driver, settings} of places.values()) {
    try {
      for (const found of (await driver.list?.(settings, context)) ?? []) {
        const age = now - Date.parse(found.created);
        // A date that cannot be read is an old one: the tag is written with the machine.
        if (!known.has(found.uuid) && !(age < olderThanMs)) strays.push({driver, settings, found});
      }
    } catch (error) {
      failed.push(`${driver.name}: ${describeError(error)}`);
    }
  }
  return {strays, failed};
}

/** Throws what the driver throws. */
export async function removeStray(
  deps: MachineDeps,
  {driver, settings, found}: Stray,
  report: (detail: string) => void,
): Promise<void> {
  const context = await driverContext(deps);
  const {uuid, name, generation, resources} = found;
  const never = () =>
    Promise.reject(new MachineError('driver-failed', 'nothing is made while a machine is removed'));
  const host: DriverHost = {
    ...context,
    report,
    note: () => Promise.resolve(),
    reserve: async (...[, choose]) => {
      await using _ = await deps.store.lockAll(deps.signal);
      return await choose(await resourcesOfOthers(deps.store, ''));
    },
    firstBoot: never,
  };
  // Its folder is gone; that of a machine which has its name by now is not its own.
  const folder = join(deps.store.root, `.gone-${uuid}`);
  await driver.destroy({uuid, name, generation, settings, folder, resources}, host);
  await (await deps.runtime.enrolment()).forget(uuid);
  await deps.store.noteRemoved({uuid, name});
  await deps.runtime.removed?.({uuid, name});
}
