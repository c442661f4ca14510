/** Ports of 127.0.0.1 that lead to a machine's SSH and Docker, for drivers whose machines stand behind NAT. */
import {createServer} from 'node:net';
import {sha256} from '../services/common/hash.ts';
import type {Resources} from './driver.ts';
import {MachineError} from './errors.ts';

/** Below the range that systems hand out for outgoing connections. */
export const defaultPorts = '20200-20999';

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

export interface ForwardedPorts {
  readonly sshPort: number;
  readonly dockerPort: number;
}

export function parsePortRange(flag: string, text: string): PortRange {
  const [, from = '', to = ''] = /^(\d{1,5})-(\d{1,5})$/.exec(text) ?? [];
  const range = {first: Number(from), last: Number(to)};
  if (from !== '' && range.first >= 1 && range.last <= 65_535 && range.first <= range.last) return range;
  throw new MachineError('bad-setting', `--${flag} is "${text}"`, {remedy: 'give for instance 20200-20999'});
}

/** Two that no other machine of the store holds and that are free right now. Throws `no-free-port`. */
export async function choosePorts(
  uuid: string,
  range: PortRange,
  others: readonly Resources[],
  flag: string,
): Promise<ForwardedPorts> {
  const taken = new Set(others.flatMap(other => [other['sshPort'], other['dockerPort']]));
  const free: number[] = [];
  for (const port of portOrder(uuid, range.first, range.last)) {
    if (free.length === 2) break;
    if (!taken.has(port) && (await isFreePort(port))) free.push(port);
  }
  const [sshPort, dockerPort] = free;
  if (sshPort !== undefined && dockerPort !== undefined) return {sshPort, dockerPort};
  throw new MachineError('no-free-port', `no two free ports in ${range.first}-${range.last}`, {
    remedy: `give another range with --${flag}, or remove machines that are not needed`,
  });
}

export function forwardedPorts(resources: Resources): ForwardedPorts | undefined {
  const {sshPort, dockerPort} = resources;
  return typeof sshPort === 'number' && typeof dockerPort === 'number' ? {sshPort, dockerPort} : undefined;
}

/** Every port of the range once, in an order that follows from the UUID, so that machines seldom meet. */
export function portOrder(uuid: string, first: number, last: number): number[] {
  const size = last - first + 1;
  const start = Number.parseInt(sha256(`ports ${uuid}`).slice(0, 4), 16) % size;
  return Array.from({length: size}, (_, index) => first + ((start + index) % size));
}

export function isFreePort(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({host: '127.0.0.1', port, exclusive: true}, () => server.close(() => resolve(true)));
  });
}
