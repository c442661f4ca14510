/** What `fleet plan`, `apply` and `destroy` do. Loaded only by them: YAML is not needed for a machine. */
import {readFile} from 'node:fs/promises';
import {dirname, resolve} from 'node:path';
import {UsageError, flagBoolean, flagInteger, flagList} from '../../services/common/command.ts';
import type {CommandContext, CommandInput} from '../../services/common/command.ts';
import {describeError} from '../../services/common/errors.ts';
import type {Progress} from '../../services/common/progress.ts';
import {createMachine} from '../create.ts';
import {engineFiles} from '../engine-options.ts';
import {MachineError} from '../errors.ts';
import {fleetLabels, parseFleetFile, wantedMachines} from './file.ts';
import type {FleetFile, Wanted} from './file.ts';
import {eachWithin} from './limits.ts';
import {planFleet} from './plan.ts';
import type {Action, Present, Target} from './plan.ts';
import {removeMachine, startMachine} from '../lifecycle.ts';
import {driverContext, viewOf} from '../machine.ts';
import type {MachineDeps} from '../machine.ts';
import {observeTogether} from '../observation.ts';
import {findDriver} from '../registry.ts';
import {confirm} from '../commands/confirm.ts';
import {createFlags, positive, wantsJson} from '../commands/create.ts';
import {readEngineOptions} from '../commands/engine.ts';
import {openDeps} from '../commands/run.ts';
import type {Tools} from '../commands/run.ts';
import {labelsOf, updateFiles} from '../commands/updates.ts';

const PARALLEL = 4;

interface Fleet {
  readonly deps: MachineDeps;
  readonly file: FleetFile;
  readonly wanted: ReadonlyMap<string, Wanted>;
  readonly settings: ReadonlyMap<string, unknown>;
  readonly actions: readonly Action[];
  /** Of the fleet, whatever the file says. */
  readonly present: readonly Present[];
  /** The file's. */
  readonly folder: string;
}

export async function showPlan(tools: Tools, context: CommandContext, input: CommandInput): Promise<number> {
  const json = wantsJson(input);
  const {file, actions} = await openFleet(tools, context, input);
  if (json) context.print(JSON.stringify({schema: 1, fleet: file.fleet, actions}));
  else for (const line of describe(actions)) context.print(line);
  return 0;
}

export async function destroyFleet(
  tools: Tools,
  context: CommandContext,
  input: CommandInput,
): Promise<number> {
  const fleet = await openFleet(tools, context, input);
  const actions = fleet.present.map(({name, driver}): Action => ({kind: 'remove', name, driver}));
  return carryOut(fleet, actions, context, input);
}

export async function applyFleet(
  tools: Tools,
  context: CommandContext,
  input: CommandInput,
): Promise<number> {
  const fleet = await openFleet(tools, context, input);
  const taken = fleet.actions.find(action => action.kind === 'taken');
  if (taken !== undefined) {
    throw new MachineError(
      'exists',
      `machine "${taken.name}" exists and is not of the fleet ${fleet.file.fleet}`,
      {
        remedy: 'give the group another name, or remove that machine',
      },
    );
  }
  const replace = flagBoolean(input.flags, 'replace');
  const actions = fleet.actions.filter(
    action => action.kind !== 'keep' && (replace || action.kind !== 'replace'),
  );
  for (const action of fleet.actions)
    if (action.kind === 'replace' && !replace)
      context.warn(
        `hawser: ${action.name} is left as it is (${action.why.join('; ')}); --replace makes it anew`,
      );
  return carryOut(fleet, actions, context, input);
}

async function openFleet(tools: Tools, context: CommandContext, input: CommandInput): Promise<Fleet> {
  const path = resolve(context.cwd, input.args[0] ?? '');
  const folder = dirname(path);
  const file = parseFleetFile(await readText(path), path);
  const deps = await openDeps(tools, context);
  const wanted = wantedMachines(file, tools.registry, createFlags, tools.registry[0]?.name ?? '');
  const {paths} = deps.runtime;
  const settings = new Map<string, unknown>();
  const byGroup = new Map<string, unknown>();
  for (const {name, group, driver, flags} of wanted) {
    const known =
      byGroup.get(group) ?? (await driver.configure(flags, {cwd: folder, paths, env: context.env}));
    byGroup.set(group, known);
    settings.set(name, known);
  }
  const present = await presentMachines(deps);
  const targets: Target[] = wanted.map(({name, group, driver, labels, flags}) => ({
    name,
    group,
    driver: driver.name,
    settings: settings.get(name),
    labels: {...labelsOf(flags), ...labels},
  }));
  const isOurs = (machine: Present) => machine.labels[fleetLabels.fleet] === file.fleet;
  return {
    deps,
    file,
    folder,
    settings,
    wanted: new Map(wanted.map(one => [one.name, one])),
    actions: planFleet(targets, present, isOurs),
    present: present.filter(isOurs),
  };
}

async function presentMachines(deps: MachineDeps): Promise<Present[]> {
  const stored = (await Promise.all((await deps.store.names()).map(name => deps.store.load(name)))).filter(
    one => one !== undefined,
  );
  const asked = stored.map(one => ({
    driver: findDriver(deps.registry, one.record.driver),
    machine: viewOf(one),
  }));
  const answers = observeTogether(asked, await driverContext(deps));
  return Promise.all(
    stored.map(async ({record, ledger}) => ({
      name: record.name,
      driver: record.driver,
      settings: record.settings,
      labels: record.labels ?? {},
      finished: ledger.finished,
      state: (await answers.get(record.uuid))?.state ?? 'None',
    })),
  );
}

async function carryOut(
  fleet: Fleet,
  actions: readonly Action[],
  context: CommandContext,
  input: CommandInput,
): Promise<number> {
  const json = wantsJson(input);
  const given = flagInteger(input.flags, 'parallel');
  const limit = given === undefined ? undefined : positive('parallel', given);
  const lost = actions.filter(({kind}) => kind === 'remove' || kind === 'replace').map(({name}) => name);
  if (lost.length > 0 && !flagBoolean(input.flags, 'yes')) {
    const question = `About to remove ${lost.join(', ')}.\nAre you sure? (y/n): `;
    if (!(await confirm(context, question, 'give -y'))) return 0;
  }
  const outcomes = await eachWithin(
    actions,
    driver => limit ?? findDriver(fleet.deps.registry, driver).parallel ?? PARALLEL,
    action => carryOutOne(fleet, action, context),
  );
  const failed = outcomes.filter(({error}) => error !== undefined);
  for (const {item, error} of failed) context.warn(`hawser: ${item.name}: ${describeError(error)}`);
  if (json) {
    const done = outcomes.map(({item, error}) => ({
      ...item,
      ...(error === undefined ? {} : {error: describeError(error)}),
    }));
    context.print(JSON.stringify({schema: 1, fleet: fleet.file.fleet, actions: done}));
  } else context.print(`${outcomes.length - failed.length} done, ${failed.length} failed`);
  return failed.length === 0 ? 0 : 1;
}

async function carryOutOne(fleet: Fleet, {kind, name}: Action, context: CommandContext): Promise<void> {
  const {deps} = fleet;
  const progress = named(context.progress, name);
  const report = {progress, warn: (line: string) => context.warn(line)};
  switch (kind) {
    case 'keep':
    case 'taken':
      return;
    case 'remove':
      return removeMachine(deps, name, false, report);
    case 'start':
      return startMachine(deps, name, secondsFor(fleet, name), progress);
    case 'replace':
      await removeMachine(deps, name, false, report);
      return make(fleet, name, context, progress);
    case 'create':
    case 'finish':
      return make(fleet, name, context, progress);
  }
}

async function make(fleet: Fleet, name: string, context: CommandContext, progress: Progress): Promise<void> {
  const {deps, folder, settings} = fleet;
  const wanted = fleet.wanted.get(name);
  if (wanted === undefined) throw new UsageError('bad-value', `"${name}" is not in the file`);
  const {driver, flags, labels, config} = wanted;
  const own = settings.get(name);
  const withLabels = new Map(flags).set('label', [
    ...flagList(flags, 'label'),
    ...Object.entries(labels).map(([label, value]) => `${label}=${value}`),
  ]);
  const files = [
    ...(await updateFiles(deps.runtime, driver, own, context, {args: [], flags: withLabels})),
    ...engineFiles(readEngineOptions(flags)),
  ];
  const certificateNames = flagList(flags, 'tls-san');
  await createMachine(
    deps,
    {
      name,
      driver: driver.name,
      settings: own,
      labels: {...labelsOf(flags), ...labels},
      seconds: secondsFor(fleet, name),
      ...(files.length === 0 ? {} : {files}),
      ...(certificateNames.length === 0 ? {} : {certificateNames}),
      ...(config === undefined ? {} : {config: resolve(folder, config)}),
    },
    progress,
  );
}

function secondsFor(fleet: Fleet, name: string): number {
  const flags = fleet.wanted.get(name)?.flags;
  return (flags === undefined ? undefined : flagInteger(flags, 'timeout')) ?? 600;
}

/** Steps of several machines go on at the same time: each says whose it is. */
function named(progress: Progress, name: string): Progress {
  return {note: text => progress.note(`${name}: ${text}`), step: title => progress.step(`${name}: ${title}`)};
}

const signs = {
  create: '+',
  finish: '+',
  start: '>',
  keep: ' ',
  replace: '!',
  remove: '-',
  taken: '?',
} as const;

function describe(actions: readonly Action[]): string[] {
  const lines = actions.map(action => {
    const why = action.kind === 'replace' ? `: ${action.why.join('; ')}` : '';
    return `${signs[action.kind]} ${action.kind.padEnd(7)} ${action.name} (${action.driver})${why}`;
  });
  const counts = Map.groupBy(actions, action => action.kind);
  return [...lines, [...counts].map(([kind, some]) => `${some.length} ${kind}`).join(', ')];
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new MachineError('bad-setting', `the fleet file ${path} cannot be read`, {
      remedy: 'check the path',
      cause: error,
    });
  }
}
