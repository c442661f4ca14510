/** Asking drivers how machines are: those of one driver and place by one call. */
import type {Driver, DriverContext, DriverMachine, Endpoint, MachineState, Observation} from './driver.ts';
import type {MachineDeps} from './machine.ts';
import {driverContext, driverOf, viewOf} from './machine.ts';
import type {StoredMachine} from './store/store.ts';

const gone: Observation = {state: 'None'};

/** A machine as it was just found. */
export interface Observed {
  readonly driver: Driver;
  /** Its resources as observed. */
  readonly machine: DriverMachine;
  readonly state: MachineState;
  readonly detail?: string | undefined;
  /** Undefined until the steps that decide it are done. */
  readonly endpoint: Endpoint | undefined;
}

export async function observeStored(deps: MachineDeps, stored: StoredMachine): Promise<Observed> {
  const driver = driverOf(deps.registry, stored);
  const machine = viewOf(stored);
  return observeMachine(driver, machine, await driverContext(deps));
}

export async function observeMachine(
  driver: Driver,
  machine: DriverMachine,
  context: DriverContext,
): Promise<Observed> {
  const answer = await driver.observe([machine], context);
  return observed(driver, machine, answer.get(machine.uuid) ?? gone);
}

function observed(driver: Driver, machine: DriverMachine, observation: Observation): Observed {
  const current = {...machine, resources: {...machine.resources, ...observation.resources}};
  const {state, detail} = observation;
  return {driver, machine: current, state, detail, endpoint: driver.endpoint(current)};
}

/** One answer a machine, each at its own time: an error concerns the machines of one place only. */
export function observeTogether(
  machines: ReadonlyArray<{readonly driver: Driver; readonly machine: DriverMachine}>,
  context: DriverContext,
): ReadonlyMap<string, Promise<Observed>> {
  const answers = new Map<string, Promise<Observed>>();
  for (const group of byPlace(machines)) {
    const {driver} = group;
    const answer = driver.observe(group.machines, context);
    for (const machine of group.machines) {
      answers.set(
        machine.uuid,
        answer.then(found => observed(driver, machine, found.get(machine.uuid) ?? gone)),
      );
    }
  }
  return answers;
}

interface Group {
  readonly driver: Driver;
  readonly machines: DriverMachine[];
}

function byPlace(
  machines: ReadonlyArray<{readonly driver: Driver; readonly machine: DriverMachine}>,
): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const {driver, machine} of machines) {
    const place = driver.place?.(machine.settings) ?? machine.uuid;
    const key = JSON.stringify([driver.name, place]);
    const group = groups.get(key) ?? {driver, machines: []};
    group.machines.push(machine);
    groups.set(key, group);
  }
  return [...groups.values()];
}
