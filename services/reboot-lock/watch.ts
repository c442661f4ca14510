/** Carries out what watchdog.ts decides, again and again. */
import {describeError} from '../common/errors.ts';
import type {LockLog, MachineLayer} from './ports.ts';
import {freeGone, notePowerCycle, type LockDeps} from './service.ts';
import {holdersToAsk, remedyFor, type Remedy} from './watchdog.ts';

export interface WatchDeps extends LockDeps {
  readonly machines: MachineLayer;
  readonly log: LockLog;
}

const PERIOD_MS = 30_000;

/** Looks at all holders until `signal` fires. A fault of one round is logged, and the next round comes. */
export async function watchLocks(deps: WatchDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await watchOnce(deps);
    } catch (error) {
      deps.log.error({err: error}, 'lock watchdog: round failed');
    }
    await deps.clock.sleep(PERIOD_MS, signal).catch(() => undefined);
  }
}

/** One round; returns what was done. */
export async function watchOnce(deps: WatchDeps): Promise<Remedy[]> {
  const done: Remedy[] = [];
  for (const {group, holder} of holdersToAsk(await deps.store.read())) {
    // Clients of a legacy group name themselves: the machine layer does not know them.
    const state = holder.via === 'agent' ? await stateOfMachine(deps, holder.machine) : 'unknown';
    const remedy = remedyFor(group, holder, state, await deps.policies.ofGroup(group), deps.clock.now());
    if (remedy === undefined) continue;
    await carryOut(deps, remedy);
    done.push(remedy);
  }
  return done;
}

async function stateOfMachine({machines, log}: WatchDeps, machine: string) {
  try {
    return await machines.state(machine);
  } catch (error) {
    log.error({machine, err: error}, 'lock watchdog: the machine layer does not answer');
    return 'unknown';
  }
}

async function carryOut(deps: WatchDeps, remedy: Remedy): Promise<void> {
  const {group, holder} = remedy;
  const fields = {
    group,
    machine: holder.machine,
    name: holder.name,
    phase: holder.phase,
    deadline: holder.deadline,
  };
  switch (remedy.kind) {
    case 'free': {
      await freeGone(deps, holder.machine, 'watchdog');
      deps.log.warn(fields, 'slot of a machine that exists no more was freed');
      return;
    }
    case 'alert': {
      deps.log.error({...fields, why: remedy.why}, 'holder is overdue, its group stands still');
      return;
    }
    case 'power-cycle': {
      // Written down first: a second server, or this one after a crash, must not do it again.
      if (!(await notePowerCycle(deps, group, holder))) return;
      deps.log.error(fields, 'holder is overdue, its power is cycled');
      try {
        await deps.machines.powerCycle(holder.machine);
      } catch (error) {
        deps.log.error({...fields, why: describeError(error)}, 'power cycle failed');
      }
    }
  }
}
