/** What the machine commands share: opening the store, names, several machines at once. */
import type {CommandContext} from '../../services/common/command.ts';
import {describeError} from '../../services/common/errors.ts';
import type {Endpoint} from '../driver.ts';
import {endpointOf} from '../access.ts';
import {MachineError} from '../errors.ts';
import {driverOf, loadMachine, viewOf} from '../machine.ts';
import type {AccessSteps, MachineDeps} from '../machine.ts';
import {defaultMachineName} from '../names.ts';
import type {MachineRuntime} from '../ports.ts';
import type {Registry} from '../registry.ts';
import {openJournal} from '../store/journal.ts';
import type {StoredMachine} from '../store/store.ts';
import {openStore} from '../store/store.ts';

export interface Tools {
  readonly access: AccessSteps;
  readonly registry: Registry;
  /** Opens the outside world for one command. */
  runtime(context: CommandContext): MachineRuntime;
}

export async function openDeps(tools: Tools, context: CommandContext): Promise<MachineDeps> {
  const runtime = tools.runtime(context);
  const store = await openStore(runtime.paths.home, runtime.clock);
  return {
    runtime,
    store,
    registry: tools.registry,
    signal: context.signal,
    openJournal,
    access: tools.access,
  };
}

/** docker-machine: without a name, the machine called `default`. */
export function namesOrDefault(args: readonly string[]): readonly string[] {
  return args.length === 0 ? [defaultMachineName] : [...new Set(args)];
}

/**
 * Works on all machines at the same time. One machine's error is thrown as it is; of several, each is reported and
 * `some-failed` is thrown at the end.
 */
export async function onEach(
  context: CommandContext,
  names: readonly string[],
  work: (name: string) => Promise<void>,
): Promise<void> {
  const results = await Promise.allSettled(names.map(work));
  const errors = results
    .filter(result => result.status === 'rejected')
    .map(result => result.reason as unknown);
  if (errors.length === 0) return;
  if (names.length === 1) throw errors[0];
  for (const error of errors) context.warn(`hawser: ${describeError(error)}`);
  throw new MachineError('some-failed', `${errors.length} of ${names.length} machines failed`, {
    cause: errors[0],
  });
}

/** A machine that runs, and where it is reached. Throws `not-running`, as docker-machine's url, ip and env do. */
export async function runningMachine(
  deps: MachineDeps,
  name: string,
): Promise<{readonly stored: StoredMachine; readonly endpoint: Endpoint}> {
  const stored = await loadMachine(deps.store, name);
  const driver = driverOf(deps.registry, stored);
  const state = await driver.observe(viewOf(stored));
  if (state === 'Running') return {stored, endpoint: endpointOf(driver, viewOf(stored))};
  throw new MachineError('not-running', `Host is not running: "${name}" is ${state.toLowerCase()}`, {
    remedy: `hawser machine start ${name}`,
  });
}

export function dockerUrl(endpoint: Endpoint): string {
  return `tcp://${endpoint.docker.host}:${endpoint.docker.port}`;
}
