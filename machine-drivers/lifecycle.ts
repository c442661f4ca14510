/** What is done with a machine that is there: start, stop, restart, kill, remove, observe. */
import type {Progress} from '../services/common/progress.ts';
import {withStep} from '../services/common/progress.ts';
import {followConsole} from './access.ts';
import {describeError} from '../services/common/errors.ts';
import type {Driver, DriverHost, MachineState} from './driver.ts';
import {MachineError} from './errors.ts';
import {createHost, driverOf, eraseMachine, loadMachine, toDriverMachine, viewOf} from './machine.ts';
import type {MachineDeps} from './machine.ts';
import {observeMachine} from './observation.ts';
import {recordDone} from './store/journal.ts';
import type {Journal} from './store/journal.ts';
import type {StoredMachine} from './store/store.ts';

export interface Held {
  readonly stored: StoredMachine;
  readonly driver: Driver;
  readonly host: DriverHost;
  readonly journal: Journal;
}

/** Runs `work` on a machine under its lock. */
export async function withMachine<Result>(
  deps: MachineDeps,
  name: string,
  work: (held: Held) => Promise<Result>,
): Promise<Result> {
  await loadMachine(deps.store, name);
  await using _ = await deps.store.lock(name, deps.signal);
  const stored = await loadMachine(deps.store, name);
  const driver = driverOf(deps.registry, stored);
  const journal = await deps.openJournal(deps.store.ledgerPath(name));
  const host = await createHost(deps, stored.record, journal, () => undefined);
  return await work({stored, driver, host, journal});
}

/** Powers the machine on and waits until Docker answers. Throws `not-stopped` when it runs. */
export async function startMachine(
  deps: MachineDeps,
  name: string,
  seconds: number,
  progress: Progress,
): Promise<void> {
  await withMachine(deps, name, async held => {
    expectFinished(held);
    await expectState(held, ['Stopped', 'Saved', 'Paused'], 'not-stopped');
    await powerOn(deps, held, seconds, progress);
  });
}

export async function stopMachine(
  deps: MachineDeps,
  name: string,
  graceSeconds: number,
  progress: Progress,
): Promise<void> {
  await withMachine(deps, name, async held => {
    await expectState(held, ['Running', 'Paused', 'Starting'], 'not-running');
    await withStep(progress, `Stopping "${name}"`, () =>
      held.driver.stop(viewOf(held.stored), held.host, graceSeconds),
    );
  });
}

/** Stops when it runs, then starts. */
export async function restartMachine(
  deps: MachineDeps,
  name: string,
  wait: {readonly graceSeconds: number; readonly seconds: number},
  progress: Progress,
): Promise<void> {
  await withMachine(deps, name, async held => {
    expectFinished(held);
    const view = viewOf(held.stored);
    if ((await observeMachine(held.driver, view, held.host)).state !== 'Stopped') {
      await withStep(progress, `Stopping "${name}"`, () =>
        held.driver.stop(view, held.host, wait.graceSeconds),
      );
    }
    await powerOn(deps, held, wait.seconds, progress);
  });
}

export async function killMachine(deps: MachineDeps, name: string, progress: Progress): Promise<void> {
  await withMachine(deps, name, async held => {
    await expectState(held, ['Running', 'Paused', 'Starting', 'Stopping'], 'not-running');
    await withStep(progress, `Killing "${name}"`, () => held.driver.kill(viewOf(held.stored), held.host));
  });
}

/**
 * Cuts the power of a machine and gives it back, for one that hangs. Does not wait for its Docker. Throws
 * `no-such-machine` when the name belongs to another machine by now.
 */
export async function powerCycleMachine(
  deps: MachineDeps,
  machine: {readonly name: string; readonly uuid: string},
): Promise<void> {
  await withMachine(deps, machine.name, async held => {
    const {stored, driver, host, journal} = held;
    if (stored.record.uuid !== machine.uuid) {
      throw new MachineError('no-such-machine', `"${machine.name}" is another machine than ${machine.uuid}`);
    }
    expectFinished(held);
    const view = viewOf(stored);
    if ((await observeMachine(driver, view, host)).state !== 'Stopped') await driver.kill(view, host);
    await recordDone(journal, deps.runtime.clock, 'start', await driver.start(view, host));
  });
}

/**
 * Removes the machine and everything made for it, finished or not. With `force`, what cannot be removed is
 * reported by `warn` and the local files go all the same; a name that does not exist is then no error.
 */
export async function removeMachine(
  deps: MachineDeps,
  name: string,
  force: boolean,
  report: {readonly progress: Progress; readonly warn: (line: string) => void},
): Promise<void> {
  if (force && !(await deps.store.names()).includes(name)) return;
  try {
    await withMachine(deps, name, async held => {
      await withStep(report.progress, `Removing "${name}"`, () =>
        eraseMachine(deps, held.driver, viewOf(held.stored), held.host),
      );
    });
  } catch (error) {
    if (!force || (error instanceof MachineError && (error.code === 'busy' || error.code === 'interrupted')))
      throw error;
    report.warn(`hawser: ${describeError(error)}`);
    await using _ = await deps.store.lock(name, deps.signal);
    for (const driver of deps.registry) await driver.abandon?.(deps.store.folder(name), deps.runtime.clock);
    await deps.store.remove(name);
  }
}

async function powerOn(deps: MachineDeps, held: Held, seconds: number, progress: Progress): Promise<void> {
  const {stored, driver, host, journal} = held;
  const {record, folder} = stored;
  const changed = await withStep(progress, `Starting "${record.name}"`, () =>
    driver.start(viewOf(stored), host),
  );
  await recordDone(journal, deps.runtime.clock, 'start', changed);
  const machine = toDriverMachine(record, folder, journal.state().resources);
  await withStep(progress, `Waiting for Docker on "${record.name}"`, async step => {
    using _ = followConsole(driver, machine, step);
    await deps.access.docker({deps, driver, record, machine, seconds});
  });
}

/** Throws `code` unless the machine is in one of the states. */
export async function expectState(
  held: Held,
  wanted: readonly MachineState[],
  code: 'not-running' | 'not-stopped',
): Promise<void> {
  const {name} = held.stored.record;
  const {state} = await observeMachine(held.driver, viewOf(held.stored), held.host);
  if (wanted.includes(state)) return;
  const verb = code === 'not-running' ? 'start' : 'stop';
  throw new MachineError(code, `machine "${name}" is ${state.toLowerCase()}`, {
    remedy: `hawser machine ${verb} ${name}`,
  });
}

export function expectFinished(held: Held): void {
  if (held.stored.ledger.finished) return;
  const {name} = held.stored.record;
  throw new MachineError('unfinished', `machine "${name}" is not finished`, {
    remedy: `hawser machine create ${name}`,
  });
}
