/** The fleet file: which machines there are to be. Pure. */
import {Type, type Static} from 'typebox';
import {parseDocument} from 'yaml';
import type {Flag, FlagValues} from '../../services/common/command.ts';
import {parseValue} from '../../services/common/parse.ts';
import type {Driver} from '../driver.ts';
import {MachineError} from '../errors.ts';
import {checkMachineName} from '../names.ts';
import {findDriver} from '../registry.ts';
import type {Registry} from '../registry.ts';

const Value = Type.Union([Type.String(), Type.Boolean(), Type.Integer(), Type.Array(Type.String())]);

const Shared = {
  driver: Type.Optional(Type.String()),
  /** In the driver's own words: an instance type, a flavor, MiB of memory. */
  size: Type.Optional(Type.Union([Type.String(), Type.Integer()])),
  /** Its group at the update server, whose channel it follows. */
  channel: Type.Optional(Type.String()),
  labels: Type.Optional(Type.Record(Type.String(), Type.String())),
  /** First-boot configuration, relative to the fleet file. */
  config: Type.Optional(Type.String()),
  /** What the machine does in a cluster: kept as the label `role`. */
  role: Type.Optional(
    Type.Union([
      Type.Literal('etcd'),
      Type.Literal('manager'),
      Type.Literal('worker'),
      Type.Literal('etcd-manager'),
    ]),
  ),
  /** Any flag of `machine create`, without its dashes. */
  flags: Type.Optional(Type.Record(Type.String(), Value)),
};

export const FleetFile = Type.Object(
  {
    fleet: Type.String({pattern: '^[a-z][a-z0-9-]{0,30}$'}),
    updateServer: Type.Optional(Type.String()),
    defaults: Type.Optional(Type.Object(Shared, {additionalProperties: false})),
    groups: Type.Record(
      Type.String(),
      Type.Object(
        {...Shared, count: Type.Integer({minimum: 0, maximum: 1000})},
        {additionalProperties: false},
      ),
      {minProperties: 1},
    ),
  },
  {additionalProperties: false},
);
export type FleetFile = Static<typeof FleetFile>;

/** A machine as the file wants it. */
export interface Wanted {
  /** `GROUP-NUMBER`, from 0. */
  readonly name: string;
  readonly group: string;
  readonly driver: Driver;
  readonly flags: FlagValues;
  readonly labels: Readonly<Record<string, string>>;
  readonly config?: string;
}

/** By these labels a machine is known to be the fleet's. */
export const fleetLabels = {fleet: 'hawser.fleet', group: 'hawser.group'} as const;

/** Throws `bad-setting` with the line and column of what is wrong. */
export function parseFleetFile(text: string, path: string): FleetFile {
  const document = parseDocument(text, {prettyErrors: true});
  const [problem] = document.errors;
  if (problem !== undefined) throw bad(`${path}: ${problem.message.split('\n')[0] ?? ''}`);
  try {
    return parseValue(FleetFile, document.toJS(), path);
  } catch (error) {
    throw bad(error instanceof Error ? error.message : String(error), error);
  }
}

/** Every machine of the file, with its flags as `create` has them. Throws `bad-setting`, `bad-name`, `unknown-driver`. */
export function wantedMachines(
  file: FleetFile,
  registry: Registry,
  createFlags: readonly Flag[],
  defaultDriver: string,
): readonly Wanted[] {
  return Object.entries(file.groups).flatMap(([group, own]) => {
    const merged = {...file.defaults, ...own};
    const driver = findDriver(registry, merged.driver ?? defaultDriver);
    const given = {...file.defaults?.flags, ...own.flags};
    const flags = flagsOf(group, driver, merged.size, given, createFlags);
    const labels = {
      ...file.defaults?.labels,
      ...own.labels,
      ...(merged.role === undefined ? {} : {role: merged.role}),
      [fleetLabels.fleet]: file.fleet,
      [fleetLabels.group]: group,
    };
    if (file.updateServer !== undefined) flags.set('update-server', file.updateServer);
    if (merged.channel !== undefined) flags.set('update-group', merged.channel);
    return Array.from({length: own.count}, (_, index) => ({
      name: checkMachineName(`${group}-${index}`),
      group,
      driver,
      flags,
      labels,
      ...(merged.config === undefined ? {} : {config: merged.config}),
    }));
  });
}

function flagsOf(
  group: string,
  driver: Driver,
  size: string | number | undefined,
  given: Readonly<Record<string, Static<typeof Value>>>,
  createFlags: readonly Flag[],
): Map<string, string | boolean | number | readonly string[]> {
  const known = [...createFlags, ...driver.flags];
  const flags = new Map<string, string | boolean | number | readonly string[]>();
  for (const {name, default: byDefault, refused} of known)
    if (byDefault !== undefined && refused === undefined) flags.set(name, byDefault);
  const all = {...given};
  if (size !== undefined) {
    if (driver.sizeFlag === undefined) throw bad(`group ${group}: ${driver.name} has no sizes`);
    all[driver.sizeFlag] = size;
  }
  for (const [name, value] of Object.entries(all)) {
    const flag = known.find(one => one.name === name);
    if (flag === undefined) throw bad(`group ${group}: ${driver.name} has no flag "${name}"`);
    if (flag.refused !== undefined) throw bad(`group ${group}: ${name} is not taken: ${flag.refused}`);
    flags.set(name, typed(group, flag, value));
  }
  return flags;
}

function typed(
  group: string,
  flag: Flag,
  value: Static<typeof Value>,
): string | boolean | number | readonly string[] {
  if (flag.type === 'string' && typeof value === 'number') return String(value);
  if (flag.type === 'integer' && typeof value === 'string' && /^-?\d{1,15}$/.test(value))
    return Number(value);
  if (flag.type === 'list' && typeof value === 'string') return [value];
  const fits = {
    string: typeof value === 'string',
    boolean: typeof value === 'boolean',
    integer: typeof value === 'number',
    list: Array.isArray(value),
  }[flag.type];
  if (fits) return value;
  throw bad(`group ${group}: ${flag.name} is ${JSON.stringify(value)}, which is no ${flag.type}`);
}

function bad(what: string, cause?: unknown): MachineError {
  return new MachineError('bad-setting', what, {
    remedy: 'mend the fleet file; machine-drivers/README.md shows one',
    cause,
  });
}
