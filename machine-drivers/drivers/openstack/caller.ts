/** From where this host reaches a cloud's machines, as far as it can know. */
import {BlockList, isIP} from 'node:net';

const inner = new BlockList();
for (const [network, prefix] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
] as const)
  inner.addSubnet(network, prefix, 'ipv4');
for (const [network, prefix] of [
  ['fc00::', 7],
  ['fe80::', 10],
  ['::1', 128],
] as const)
  inner.addSubnet(network, prefix, 'ipv6');

/**
 * The network of this host alone, for a rule that lets it in. `local` and `remote` are the ends of a connection to the
 * cloud. Undefined when the two do not tell: behind a translation of addresses the cloud sees another one than ours,
 * and an address of the other IP version is none for these machines.
 */
export function callerNetwork(
  {local, remote}: {readonly local: string | undefined; readonly remote: string | undefined},
  ipVersion: number,
): string | undefined {
  const [own, other] = [plain(local), plain(remote)];
  if (isIP(own) !== ipVersion || isIP(other) !== ipVersion) return undefined;
  if (isInner(own) && !isInner(other)) return undefined;
  return `${own}/${ipVersion === 4 ? 32 : 128}`;
}

function isInner(address: string): boolean {
  return inner.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

function plain(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.)/, '').replace(/%.*$/, '');
}
