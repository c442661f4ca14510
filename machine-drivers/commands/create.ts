/** `machine create`. */
import {access} from 'node:fs/promises';
import {resolve} from 'node:path';
import {UsageError, flagInteger, flagList, flagString} from '../../services/common/command.ts';
import type {Command, CommandContext, CommandInput, Flag} from '../../services/common/command.ts';
import {endpointOf} from '../access.ts';
import {createMachine} from '../create.ts';
import {engineFiles} from '../engine-options.ts';
import {MachineError} from '../errors.ts';
import {driverOf, loadMachine, viewOf} from '../machine.ts';
import {defaultMachineName} from '../names.ts';
import {engineFlags, readEngineOptions} from './engine.ts';
import {labelsOf, updateFiles, updateFlags} from './updates.ts';
import {defaultDriver, findDriver} from '../registry.ts';
import {calledAs, dockerUrl, openDeps} from './run.ts';
import type {Tools} from './run.ts';

/** Of every driver. */
export const createFlags: readonly Flag[] = [
  {
    name: 'driver',
    short: 'd',
    type: 'string',
    env: 'HAWSER_DRIVER',
    default: defaultDriver,
    summary: 'where the machine is made',
  },
  {
    name: 'image',
    type: 'string',
    env: 'HAWSER_IMAGE',
    summary: 'image folder or disk file; the image built last when absent',
  },
  {
    name: 'config',
    type: 'string',
    summary: "the machine's own first-boot configuration (YAML or Ignition JSON)",
  },
  {
    name: 'timeout',
    type: 'integer',
    env: 'HAWSER_TIMEOUT',
    default: 600,
    summary: 'seconds to wait for each of SSH, enrolment and Docker',
  },
  {
    name: 'on-failure',
    type: 'string',
    summary:
      'keep or destroy a machine whose creation fails; by default destroyed if it never ran, else kept',
  },
  ...engineFlags,
  ...updateFlags,
  {name: 'output', type: 'string', default: 'text', summary: 'text or json'},
];

export function createCommand(tools: Tools): Command {
  return {
    name: 'machine create',
    summary: 'make a machine, or finish one whose creation was cut short',
    usage: '[NAME]',
    arguments: {min: 0, max: 1},
    flags: [...createFlags, ...tools.registry.flatMap(driver => driver.flags)],
    run: (context, input) => run(tools, context, input),
  };
}

async function run(tools: Tools, context: CommandContext, input: CommandInput): Promise<number> {
  const name = input.args[0] ?? defaultMachineName;
  const deps = await openDeps(tools, context);
  const driver = findDriver(tools.registry, flagString(input.flags, 'driver') ?? defaultDriver);
  const config = await configPath(context, flagString(input.flags, 'config'));
  const onFailure = failurePolicy(flagString(input.flags, 'on-failure'));
  const json = wantsJson(input);
  const settings = await driver.configure(input.flags, {
    cwd: context.cwd,
    paths: deps.runtime.paths,
    env: context.env,
  });
  const files = [
    ...(await updateFiles(deps.runtime, driver, settings, context, input)),
    ...engineFiles(readEngineOptions(input.flags)),
  ];
  const labels = labelsOf(input.flags);
  const certificateNames = flagList(input.flags, 'tls-san');
  await createMachine(
    deps,
    {
      name,
      driver: driver.name,
      settings,
      ...(files.length === 0 ? {} : {files}),
      ...(Object.keys(labels).length === 0 ? {} : {labels}),
      ...(certificateNames.length === 0 ? {} : {certificateNames}),
      seconds: positive('timeout', flagInteger(input.flags, 'timeout') ?? 600),
      ...(config === undefined ? {} : {config}),
      ...(onFailure === undefined ? {} : {onFailure}),
    },
    context.progress,
  );
  const stored = await loadMachine(deps.store, name);
  const endpoint = endpointOf(driverOf(deps.registry, stored), viewOf(stored));
  if (json)
    context.print(JSON.stringify({name, uuid: stored.record.uuid, url: dockerUrl(endpoint), ...endpoint}));
  else
    context.warn(
      `Docker is up and running on "${name}"! To point docker at it: eval $(${calledAs(context)} env ${name})`,
    );
  return 0;
}

/** True for `--output json`. Throws for a format that is neither. */
export function wantsJson(input: CommandInput): boolean {
  const format = flagString(input.flags, 'output') ?? 'text';
  if (format === 'json' || format === 'text') return format === 'json';
  throw new UsageError('bad-value', `--output is "${format}"`, {remedy: 'give text or json'});
}

export function positive(flag: string, value: number): number {
  if (value > 0) return value;
  throw new UsageError('bad-value', `--${flag} is ${value}`, {remedy: 'give a number above 0'});
}

async function configPath(context: CommandContext, given: string | undefined): Promise<string | undefined> {
  if (given === undefined) return undefined;
  const path = resolve(context.cwd, given);
  try {
    await access(path);
  } catch (error) {
    throw new MachineError('bad-setting', `the configuration ${path} cannot be read`, {
      remedy: 'check the path',
      cause: error,
    });
  }
  return path;
}

function failurePolicy(given: string | undefined): 'keep' | 'destroy' | undefined {
  if (given === undefined || given === 'keep' || given === 'destroy') return given;
  throw new UsageError('bad-value', `--on-failure is "${given}"`, {remedy: 'give keep or destroy'});
}
