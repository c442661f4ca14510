/** What the host was told: `/etc/hawser/overlay.json`, all of it optional, and who it is. */
import {readFile} from 'node:fs/promises';
import {networkInterfaces} from 'node:os';
import {Type, type Static} from 'typebox';
import {Ipv4} from '../common/contracts/overlay.ts';
import {systemErrorCode} from '../common/errors.ts';
import {exec} from '../common/exec.ts';
import {parseJson} from '../common/parse.ts';
import type {Self} from './desired.ts';
import {OverlayError} from './errors.ts';

export const OverlayFile = Type.Object(
  {
    /** Address of this machine for the tunnels; absent for the one by which it reaches the server. */
    address: Type.Optional(Ipv4),
    /** UDP port of the tunnels; the same on all hosts. */
    port: Type.Optional(Type.Integer({minimum: 1, maximum: 65_535})),
    /** Bytes that the network between hosts carries; absent for the MTU of the interface. */
    mtu: Type.Optional(Type.Integer({minimum: 576, maximum: 65_535})),
    /** How long a block of addresses is kept without a container in it; absent for 600. */
    idleSeconds: Type.Optional(Type.Integer({minimum: 1, maximum: 86_400})),
  },
  {additionalProperties: false},
);
export type OverlayFile = Static<typeof OverlayFile>;

/** VXLAN's own port (RFC 7348); Swarm's data path is elsewhere (services/provisioner/cluster/swarm.ts). */
export const defaultPort = 4789;

/** Throws ParseError. */
export async function readOverlayFile(path: string): Promise<OverlayFile> {
  try {
    return parseJson(OverlayFile, await readFile(path, 'utf8'), path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return {};
    throw error;
  }
}

const RouteAnswer = Type.Array(Type.Object({prefsrc: Type.Optional(Type.String())}), {minItems: 1});

/** Address, MTU and port of this machine. Throws OverlayError `bad-config`, ExecError. */
export async function findSelf(machine: string, server: string, file: OverlayFile): Promise<Self> {
  const address = file.address ?? (await addressTowards(new URL(server).hostname));
  return {machine, address, mtu: file.mtu ?? (await mtuOf(address)), port: file.port ?? defaultPort};
}

async function addressTowards(host: string): Promise<string> {
  const numeric = /^[0-9.]+$/.test(host) ? host : await resolved(host);
  const {stdout} = await exec(['ip', '-j', 'route', 'get', numeric], {timeoutMs: 10_000});
  const [route] = parseJson(RouteAnswer, stdout, 'ip route get');
  if (route?.prefsrc !== undefined) return route.prefsrc;
  throw new OverlayError('bad-config', `no address of this machine leads to ${host}`, {
    remedy: 'name one in /etc/hawser/overlay.json: {"address": "..."}',
  });
}

async function resolved(host: string): Promise<string> {
  const {lookup} = await import('node:dns/promises');
  return (await lookup(host, {family: 4})).address;
}

const LinkAnswer = Type.Array(Type.Object({ifname: Type.String(), mtu: Type.Integer()}), {minItems: 1});

async function mtuOf(address: string): Promise<number> {
  const [name] =
    Object.entries(networkInterfaces()).find(([, list]) => list?.some(each => each.address === address)) ??
    [];
  if (name === undefined)
    throw new OverlayError('bad-config', `${address} is no address of this machine`, {
      remedy: 'correct it in /etc/hawser/overlay.json',
    });
  const {stdout} = await exec(['ip', '-j', 'link', 'show', 'dev', name], {timeoutMs: 10_000});
  return parseJson(LinkAnswer, stdout, 'ip link')[0]?.mtu ?? 1500;
}
