/** The settings that the record of an openstack machine keeps, made of its flags. No secrets. */
import {isIP} from 'node:net';
import {resolve} from 'node:path';
import {Type, type Static} from 'typebox';
import {flagBoolean, flagInteger, flagList, flagString} from '../../../services/common/command.ts';
import type {FlagValues} from '../../../services/common/command.ts';
import {parseValue} from '../../../services/common/parse.ts';
import type {ConfigureContext} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {besideCloud, fromEnvironment, variables} from './client/cloud-config.ts';
import {cloudNames} from './client/clouds-file.ts';
import {DEFAULT_ACTIVE_SECONDS, DEFAULT_SSH_PORT, cloudFlagKeys} from './flags.ts';

/** An id or a name, as the operator gave it. */
const Reference = Type.Union([
  Type.Object({id: Type.String({minLength: 1})}),
  Type.Object({name: Type.String({minLength: 1})}),
]);
export type Reference = Static<typeof Reference>;

const Port = Type.Integer({minimum: 1, maximum: 65_535});
const Address = Type.Object({host: Type.String({minLength: 1}), port: Port});

/** How the cloud is entered, without what is secret. */
export const CloudReference = Type.Object({
  /** A cloud of clouds.yaml, read anew each time. */
  cloud: Type.Optional(Type.String({minLength: 1})),
  /** By the keys of clouds.yaml; they stand above those of the named cloud. */
  options: Type.Record(Type.String(), Type.String()),
});
export type CloudReference = Static<typeof CloudReference>;

export const OpenStackSettings = Type.Object({
  access: CloudReference,
  /** Needed by what is made only: `gc` and `adopt` look without it. */
  flavor: Type.Optional(Reference),
  image: Type.Optional(Reference),
  /** Absolute: a built image; what was published of it is used. */
  builtImage: Type.Optional(Type.String()),
  network: Type.Optional(Reference),
  /** Names or ids; absent: a group of our own. */
  groups: Type.Optional(Type.Array(Type.String())),
  /** Networks that our own group lets in; empty: this host. */
  allow: Type.Array(Type.String()),
  floatingPool: Type.Optional(Type.String()),
  floatingAddress: Type.Optional(Type.String()),
  ipVersion: Type.Union([Type.Literal(4), Type.Literal(6)]),
  availabilityZone: Type.Optional(Type.String()),
  serverGroup: Type.Optional(Type.String()),
  volume: Type.Optional(
    Type.Object({gibibytes: Type.Integer({minimum: 1}), type: Type.Optional(Type.String())}),
  ),
  configDrive: Type.Boolean(),
  metadata: Type.Record(Type.String(), Type.String()),
  activeSeconds: Type.Integer({minimum: 1}),
  sshUser: Type.Optional(Type.String()),
  sshPort: Port,
  sshAddress: Type.Optional(Address),
  dockerAddress: Type.Optional(Address),
});
export type OpenStackSettings = Static<typeof OpenStackSettings>;

export function readSettings(settings: unknown): OpenStackSettings {
  return parseValue(OpenStackSettings, settings, 'the settings of the openstack machine');
}

/** Throws `bad-setting` for what cannot be meant. */
export async function configureOpenStack(
  flags: FlagValues,
  from: ConfigureContext,
): Promise<OpenStackSettings> {
  const builtImage = flagString(flags, 'image');
  const groups = list(flagString(flags, 'openstack-sec-groups'));
  const metadata = flagString(flags, 'openstack-metadata');
  const floatingPool = flagString(flags, 'openstack-floatingip-pool');
  const floatingAddress = flagString(flags, 'openstack-floating-ip');
  if (floatingAddress !== undefined && isIP(floatingAddress) === 0)
    throw badSetting('openstack-floating-ip', floatingAddress, 'give an address');
  return {
    access: await configureAccess(flags, from),
    ...given('flavor', reference(flags, 'flavor')),
    ...given('image', reference(flags, 'image')),
    ...given('builtImage', builtImage === undefined ? undefined : resolve(from.cwd, builtImage)),
    ...given('network', reference(flags, 'net')),
    ...(groups.length === 0 ? {} : {groups}),
    allow: flagList(flags, 'openstack-allow-cidr').map(checkNetwork),
    // An address that is there already needs no pool to come from.
    ...given('floatingPool', floatingAddress === undefined ? floatingPool : undefined),
    ...given('floatingAddress', floatingAddress),
    ipVersion: ipVersion(flagInteger(flags, 'openstack-ip-version') ?? 4),
    ...given('availabilityZone', flagString(flags, 'openstack-availability-zone')),
    ...given('serverGroup', flagString(flags, 'openstack-server-group')),
    ...given('volume', volume(flags)),
    configDrive: flagBoolean(flags, 'openstack-config-drive'),
    metadata: metadata === undefined ? {} : parseMetadata(metadata),
    activeSeconds: inRange(
      'openstack-active-timeout',
      flagInteger(flags, 'openstack-active-timeout') ?? DEFAULT_ACTIVE_SECONDS,
      86_400,
    ),
    ...given('sshUser', flagString(flags, 'openstack-ssh-user')),
    sshPort: inRange(
      'openstack-ssh-port',
      flagInteger(flags, 'openstack-ssh-port') ?? DEFAULT_SSH_PORT,
      65_535,
    ),
    ...given('sshAddress', address(flags, 'openstack-ssh-address')),
    ...given('dockerAddress', address(flags, 'openstack-docker-address')),
  };
}

/** A named cloud, or the account that flags and OS_* variables tell of, or the only cloud of clouds.yaml. */
export async function configureAccess(flags: FlagValues, from: ConfigureContext): Promise<CloudReference> {
  const cloud = flagString(flags, 'openstack-cloud');
  const environment = fromEnvironment(variables, from.env);
  const beside = Object.entries(environment).filter(([key]) => besideCloud.includes(key));
  const typed = typedOptions(flags, from.cwd);
  if (cloud !== undefined) return {cloud, options: {...Object.fromEntries(beside), ...typed}};
  const options = {...environment, ...typed};
  if (options['auth_url'] !== undefined) return {options};
  const [only, ...others] = await cloudNames(from.env, from.cwd);
  if (only !== undefined && others.length === 0) return {cloud: only, options};
  throw new MachineError('bad-setting', 'no cloud is named', {
    remedy:
      only === undefined
        ? 'write a clouds.yaml and give --openstack-cloud or OS_CLOUD, or set OS_AUTH_URL and its like (openrc)'
        : `give --openstack-cloud or OS_CLOUD: clouds.yaml has ${[only, ...others].join(', ')}`,
  });
}

function typedOptions(flags: FlagValues, cwd: string): Record<string, string> {
  const options: Record<string, string> = {};
  for (const [key, names] of Object.entries(cloudFlagKeys)) {
    const value = names.map(name => flagString(flags, name)).find(text => text !== undefined);
    if (value !== undefined) options[key] = key === 'cacert' ? resolve(cwd, value) : value;
  }
  if (flagBoolean(flags, 'openstack-insecure')) options['insecure'] = 'true';
  return options;
}

function reference(flags: FlagValues, what: 'flavor' | 'image' | 'net'): Reference | undefined {
  const id = flagString(flags, `openstack-${what}-id`);
  const name = flagString(flags, `openstack-${what}-name`);
  if (id !== undefined && name !== undefined) {
    throw new MachineError(
      'bad-setting',
      `--openstack-${what}-id and --openstack-${what}-name are both given`,
      {
        remedy: 'give one of them (their OS_* variables count too)',
      },
    );
  }
  if (id !== undefined) return {id};
  return name === undefined ? undefined : {name};
}

function volume(flags: FlagValues): {gibibytes: number; type?: string} | undefined {
  const size = flagInteger(flags, 'openstack-boot-volume-size');
  const type = flagString(flags, 'openstack-boot-volume-type');
  if (size === undefined && type !== undefined) {
    throw new MachineError('bad-setting', '--openstack-boot-volume-type is given without a size', {
      remedy: 'add --openstack-boot-volume-size',
    });
  }
  if (size === undefined) return undefined;
  return {
    gibibytes: inRange('openstack-boot-volume-size', size, 65_536),
    ...(type === undefined ? {} : {type}),
  };
}

/** docker-machine: `key1,value1,key2,value2`. Our own keys stay ours. */
function parseMetadata(text: string): Record<string, string> {
  const words = text.split(',');
  const pairs: Array<[string, string]> = [];
  for (let at = 0; at + 1 < words.length; at += 2) pairs.push([words[at] ?? '', words[at + 1] ?? '']);
  const valid = words.length % 2 === 0 && pairs.every(([key]) => /^(?!hawser:)[\w:. -]{1,255}$/.test(key));
  if (!valid || pairs.some(([, value]) => value.length > 255))
    throw badSetting('openstack-metadata', text, 'for instance role,web,site,berlin');
  return Object.fromEntries(pairs);
}

function address(flags: FlagValues, name: string): {host: string; port: number} | undefined {
  const text = flagString(flags, name);
  if (text === undefined) return undefined;
  const [, inner, outer, digits] = /^(?:\[([0-9a-fA-F:]+)\]|([^\s:@/]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = inner ?? outer;
  const port = Number(digits);
  if (host === undefined || !(port >= 1 && port <= 65_535))
    throw badSetting(name, text, 'for instance 127.0.0.1:2222');
  return {host, port};
}

function checkNetwork(text: string): string {
  const [host = '', bits = '', ...rest] = text.split('/');
  const version = isIP(host);
  const most = version === 4 ? 32 : 128;
  if (version !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= most && rest.length === 0) return text;
  throw badSetting('openstack-allow-cidr', text, 'for instance 203.0.113.7/32');
}

function ipVersion(value: number): 4 | 6 {
  if (value === 4 || value === 6) return value;
  throw badSetting('openstack-ip-version', String(value), 'give 4 or 6');
}

function inRange(flag: string, value: number, most: number): number {
  if (value >= 1 && value <= most) return value;
  throw badSetting(flag, String(value), `give 1 to ${most}`);
}

function list(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map(word => word.trim())
    .filter(word => word !== '');
}

function given<Key extends string, Value>(key: Key, value: Value | undefined): {[K in Key]?: Value} {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return (value === undefined ? {} : {[key]: value}) as {[K in Key]?: Value};
}

function badSetting(flag: string, text: string, remedy: string): MachineError {
  return new MachineError('bad-setting', `--${flag} is "${text}"`, {remedy});
}
