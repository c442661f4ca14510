/** What the machine commands share: opening the store, names, several machines at once. */
import type {CommandContext, Flag} from '../../services/common/command.ts';
import {describeError} from '../../services/common/errors.ts';
import type {Endpoint} from '../driver.ts';
import {endpointOf} from '../access.ts';
import {tcpUrl} from '../docker/url.ts';
import {MachineError} from '../errors.ts';
import {driverOf, loadMachine, viewOf} from '../machine.ts';
import type {AccessSteps, MachineDeps} from '../machine.ts';
import {defaultMachineName} from '../names.ts';
import {observeStored} from '../observation.ts';
import type {Observed} from '../observation.ts';
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

/** Of every command whose result can be read by a program. */
export const outputFlag: Flag = {name: 'output', type: 'string', default: 'text', summary: 'text or json'};

/** How the machine commands are called here: `hawser machine`, or `docker-machine` where the binary has that name. */
export function calledAs(context: CommandContext): string {
  return context.calledAs ?? 'hawser machine';
}

/** docker-machine: without a name, the machine called `default`. */
export async function namesOrDefault(
  {store}: Pick<MachineDeps, 'store'>,
  args: readonly string[],
): Promise<readonly string[]> {
  if (args.length > 0) return [...new Set(args)];
  if ((await store.names()).includes(defaultMachineName)) return [defaultMachineName];
  throw new MachineError(
    'no-such-machine',
    `No machine name(s) specified and no "${defaultMachineName}" machine exists`,
    {remedy: 'name one'},
  );
}

/**
 * Works on all machines at the same time. One machine's error is thrown as it is; of several, each is reported and
 * `some-failed` is thrown at the end. With `json`, what became of each is printed first: `[{name, error?}]`.
 */
export async function onEach(
  context: CommandContext,
  names: readonly string[],
  work: (name: string) => Promise<void>,
  json = false,
): Promise<void> {
  const results = await Promise.allSettled(names.map(work));
  if (json) {
    const outcomes = results.map((result, index) => ({
      name: names[index],
      ...(result.status === 'rejected' ? {error: describeError(result.reason)} : {}),
    }));
    context.print(JSON.stringify(outcomes));
  }
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
  const {driver, machine, state} = await observeOrBelieve(deps, stored);
  if (state === 'Running') return {stored, endpoint: endpointOf(driver, machine)};
  throw new MachineError('not-running', `Host is not running: "${name}" is ${state.toLowerCase()}`, {
    remedy: `hawser machine start ${name}`,
  });
}

/** A cloud that cannot be asked (keys that were changed, no network) does not keep a machine from its operator. */
async function observeOrBelieve(
  deps: MachineDeps,
  stored: StoredMachine,
): Promise<Pick<Observed, 'driver' | 'machine' | 'state'>> {
  try {
    return await observeStored(deps, stored);
  } catch (error) {
    const away =
      error instanceof MachineError && (error.code === 'credentials' || error.code === 'unreachable');
    const driver = driverOf(deps.registry, stored);
    const machine = viewOf(stored);
    if (!away || driver.endpoint(machine) === undefined) throw error;
    return {driver, machine, state: 'Running'};
  }
}

export function dockerUrl(endpoint: Endpoint): string {
  return tcpUrl(endpoint.docker);
}
