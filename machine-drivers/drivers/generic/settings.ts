/** What a generic machine can be told: docker-machine's flags, and how its host key is known. */
import {access} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {Type, type Static} from 'typebox';
import {flagInteger, flagString} from '../../../services/common/command.ts';
import type {Flag, FlagValues} from '../../../services/common/command.ts';
import {parseValue} from '../../../services/common/parse.ts';
import type {ConfigureContext} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {machineUser} from '../../ports.ts';

const Port = Type.Integer({minimum: 1, maximum: 65_535});

export const GenericSettings = Type.Object({
  host: Type.String({minLength: 1}),
  sshPort: Port,
  dockerPort: Port,
  user: Type.String({minLength: 1}),
  /** The operator's own key, absolute; ssh's usual ones and its agent when absent. */
  key: Type.Optional(Type.String()),
  /** `ssh-ed25519 AAAA…`: the host's key; when absent, the operator's known_hosts, and an unknown host is taken as it is. */
  hostKey: Type.Optional(Type.String()),
  /** The operator's known_hosts, absolute. */
  knownHosts: Type.Optional(Type.String()),
});
export type GenericSettings = Static<typeof GenericSettings>;

export const genericFlags: readonly Flag[] = [
  {
    name: 'generic-ip-address',
    type: 'string',
    env: 'GENERIC_IP_ADDRESS',
    summary: 'address or name of the host',
  },
  {
    name: 'generic-ssh-port',
    type: 'integer',
    env: 'GENERIC_SSH_PORT',
    default: 22,
    summary: 'port of its SSH',
  },
  {
    name: 'generic-ssh-user',
    type: 'string',
    env: 'GENERIC_SSH_USER',
    default: machineUser,
    summary: 'login that may use sudo without a password',
  },
  {
    name: 'generic-ssh-key',
    type: 'string',
    env: 'GENERIC_SSH_KEY',
    summary: "private key for the first login; ssh's own choice when absent",
  },
  {
    name: 'generic-host-key',
    type: 'string',
    env: 'GENERIC_HOST_KEY',
    summary:
      "the host's public key, 'ssh-ed25519 AAAA...'; without it your known_hosts decides, and an unknown host is trusted this once",
  },
  {
    name: 'generic-engine-port',
    type: 'integer',
    env: 'GENERIC_ENGINE_PORT',
    default: 2376,
    summary: 'port of its Docker',
  },
];

// A name, an IPv4 or an IPv6 address: it stands in an argument list, so it does not begin with a dash.
const HOST = /^[A-Za-z0-9:][A-Za-z0-9.:%-]*$/;
const HOST_KEY = /^ssh-ed25519 [A-Za-z0-9+/]{68}={0,2}$/;

/** Throws `bad-setting`. */
export async function configureGeneric(flags: FlagValues, from: ConfigureContext): Promise<GenericSettings> {
  const host = flagString(flags, 'generic-ip-address');
  if (host === undefined) {
    throw new MachineError('bad-setting', 'generic driver requires the --generic-ip-address option', {
      remedy: 'give the address of a host that runs the image',
    });
  }
  if (!HOST.test(host)) throw bad('generic-ip-address', host, 'give a name or an address');
  if (flagString(flags, 'config') !== undefined) {
    throw new MachineError('bad-setting', 'a generic machine has had its first boot', {
      remedy: 'leave out --config: the host was configured when it was installed',
    });
  }
  const key = flagString(flags, 'generic-ssh-key');
  const hostKey = flagString(flags, 'generic-host-key')?.split(/\s+/).slice(0, 2).join(' ');
  if (hostKey !== undefined && !HOST_KEY.test(hostKey))
    throw bad('generic-host-key', hostKey, "give what the host's /etc/ssh/ssh_host_ed25519_key.pub holds");
  const home = from.env['HOME'];
  const settings = {
    host,
    sshPort: flagInteger(flags, 'generic-ssh-port') ?? 22,
    dockerPort: flagInteger(flags, 'generic-engine-port') ?? 2376,
    user: flagString(flags, 'generic-ssh-user') ?? machineUser,
    ...(key === undefined
      ? {}
      : {key: await readable(resolve(from.cwd, key.replace(/^~\//, `${home ?? ''}/`)))}),
    ...(hostKey === undefined ? {} : {hostKey}),
    ...(home === undefined ? {} : {knownHosts: join(home, '.ssh', 'known_hosts')}),
  };
  return parseValue(GenericSettings, settings, 'what was said about the generic machine');
}

export function readGenericSettings(settings: unknown): GenericSettings {
  return parseValue(GenericSettings, settings, 'the settings of the generic machine');
}

async function readable(path: string): Promise<string> {
  try {
    await access(path);
    return path;
  } catch (error) {
    throw new MachineError('bad-setting', `SSH key ${path} cannot be read`, {
      remedy: 'give another --generic-ssh-key',
      cause: error,
    });
  }
}

function bad(flag: string, given: string, remedy: string): MachineError {
  return new MachineError('bad-setting', `--${flag} is "${given}"`, {remedy});
}
