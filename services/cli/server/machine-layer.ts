/** The machine layer of this home, as the reboot lock's watchdog asks it. */
import {stat} from 'node:fs/promises';
import {accessSteps} from '../../../machine-drivers/access.ts';
import {findByUuid, sightMachine} from '../../../machine-drivers/by-uuid.ts';
import type {MachineState} from '../../../machine-drivers/driver.ts';
import {MachineError} from '../../../machine-drivers/errors.ts';
import {powerCycleMachine} from '../../../machine-drivers/lifecycle.ts';
import type {MachineDeps} from '../../../machine-drivers/machine.ts';
import type {MachineRuntime} from '../../../machine-drivers/ports.ts';
import {drivers, type Registry} from '../../../machine-drivers/registry.ts';
import {openJournal} from '../../../machine-drivers/store/journal.ts';
import {machinesFolder, openStore} from '../../../machine-drivers/store/store.ts';
import {systemErrorCode} from '../../common/errors.ts';
import type {MachineLayer, MachineLayerState} from '../../reboot-lock/ports.ts';

/**
 * Asks the machines of this home. One that this home never knew is `unknown`: another operator's store, or another
 * road, may have made it. A home without machines is not touched.
 */
export function machineLayer(runtime: MachineRuntime, registry: Registry = drivers): MachineLayer {
  const {home} = runtime.paths;
  // Not the server's: a machine whose power was cut gets it back, though the server is stopped in between.
  const {signal} = new AbortController();
  const open = async (): Promise<MachineDeps | undefined> => {
    if (!(await hasMachines(home))) return undefined;
    const store = await openStore(home, runtime.clock);
    return {runtime, store, registry, signal, openJournal, access: accessSteps};
  };
  return {
    state: async uuid => {
      const deps = await open();
      if (deps === undefined) return 'unknown';
      const sighting = await sightMachine(deps, uuid);
      if (sighting.kind === 'here') return layerStates[sighting.state];
      return sighting.kind === 'removed' ? 'gone' : 'unknown';
    },
    powerCycle: async uuid => {
      const deps = await open();
      const stored = deps === undefined ? undefined : await findByUuid(deps, uuid);
      if (deps === undefined || stored === undefined) {
        throw new MachineError('no-such-machine', `there is no machine ${uuid} in ${home}`, {
          remedy: 'cycle its power by hand',
        });
      }
      await powerCycleMachine(deps, stored.record);
    },
  };
}

/** What the lock makes of docker-machine's words. */
const layerStates: Readonly<Record<MachineState, MachineLayerState>> = {
  Running: 'running',
  Paused: 'running',
  Starting: 'running',
  Stopping: 'running',
  // It is there and has power: a panicked guest is what a power cycle is for.
  Error: 'running',
  Stopped: 'stopped',
  Saved: 'stopped',
  None: 'gone',
  Timeout: 'unknown',
};

async function hasMachines(home: string): Promise<boolean> {
  try {
    return (await stat(machinesFolder(home))).isDirectory();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
