/** CNI 1.1: the call as the forwarder hands it on, results and errors. Pure. */
import {Type, type Static} from 'typebox';
import {HawserError, describeError} from '../../common/errors.ts';
import {parseJson} from '../../common/parse.ts';
import {NetworkName} from '../../common/contracts/overlay.ts';

export const supportedVersions = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

/** Codes of the specification's table; from 100 on they are ours. */
export const cniCodes = {
  version: 1,
  field: 2,
  environment: 4,
  decode: 6,
  config: 7,
  again: 11,
  'not-available': 50,
  failed: 100,
} as const;

export class CniError extends HawserError<keyof typeof cniCodes> {}

const Attachment = Type.Object({containerID: Type.String(), ifname: Type.String()});

export const CniConfig = Type.Object({
  cniVersion: Type.String(),
  name: Type.Optional(Type.String()),
  type: Type.Optional(Type.String()),
  /** The network of the cluster; `name` when absent. */
  network: Type.Optional(NetworkName),
  runtimeConfig: Type.Optional(Type.Object({ips: Type.Optional(Type.Array(Type.String(), {maxItems: 1}))})),
  prevResult: Type.Optional(Type.Unknown()),
  'cni.dev/valid-attachments': Type.Optional(Type.Array(Attachment)),
});
export type CniConfig = Static<typeof CniConfig>;

export interface CniCall {
  readonly command: string;
  readonly container: string;
  readonly namespace: string;
  readonly ifname: string;
  readonly config: CniConfig;
}

/** Environment variables come as headers. Throws {@link CniError}. */
export function readCall(headers: Readonly<Record<string, unknown>>, body: string): CniCall {
  const variable = (name: string): string => {
    const value = headers[`x-cni-${name}`];
    return typeof value === 'string' ? value : '';
  };
  let config: CniConfig;
  try {
    config = parseJson(CniConfig, body, 'the network configuration');
  } catch (error) {
    throw new CniError('decode', describeError(error), {cause: error});
  }
  if (!supportedVersions.some(version => version === config.cniVersion))
    throw new CniError('version', `cniVersion ${config.cniVersion} is not supported`, {
      remedy: `use one of ${supportedVersions.join(', ')}`,
    });
  const call = {
    command: variable('command'),
    container: variable('containerid'),
    namespace: variable('netns'),
    ifname: variable('ifname'),
    config,
  };
  if (['ADD', 'DEL', 'CHECK'].includes(call.command)) {
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,199}$/.test(call.container))
      throw new CniError('environment', 'CNI_CONTAINERID is missing or wrong');
    if (!/^[^\s/:]{1,15}$/.test(call.ifname) || call.ifname === '.' || call.ifname === '..')
      throw new CniError('environment', 'CNI_IFNAME is missing or wrong');
    if (call.command !== 'DEL' && !call.namespace.startsWith('/'))
      throw new CniError('environment', 'CNI_NETNS is missing or no path');
  }
  return call;
}

export function failureOf(error: unknown): object {
  const code = error instanceof CniError ? cniCodes[error.code] : cniCodes.failed;
  const details = error instanceof HawserError ? (error.remedy ?? '') : '';
  return {cniVersion: '1.1.0', code, msg: error instanceof Error ? error.message : String(error), details};
}

export interface Added {
  readonly version: string;
  readonly hostLink: string;
  readonly ifname: string;
  readonly namespace: string;
  readonly mac: string;
  readonly mtu: number;
  /** With its length. */
  readonly address: string;
  readonly gateway: string;
}

/** `prevResult` of an earlier plugin in the chain is passed on, ours added to it. */
export function resultOf(added: Added, before: unknown): object {
  const previous = typeof before === 'object' && before !== null ? before : {};
  const list = (name: string): unknown[] => {
    const value: unknown = Reflect.get(previous, name);
    return Array.isArray(value) ? value : [];
  };
  const interfaces = list('interfaces');
  const mtu = added.version === '1.1.0' ? {mtu: added.mtu} : {};
  const version = added.version.startsWith('0.') ? {version: '4'} : {};
  return {
    ...previous,
    cniVersion: added.version,
    interfaces: [
      ...interfaces,
      {name: added.hostLink, ...mtu},
      {name: added.ifname, mac: added.mac, sandbox: added.namespace, ...mtu},
    ],
    ips: [
      ...list('ips'),
      {...version, address: added.address, gateway: added.gateway, interface: interfaces.length + 1},
    ],
    dns: Reflect.get(previous, 'dns') ?? {},
  };
}
