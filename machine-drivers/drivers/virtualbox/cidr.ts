/** IPv4 networks of host-only adapters: pure. */
import {MachineError} from '../../errors.ts';

export interface Cidr {
  /** The host's own address in the network. */
  readonly address: string;
  readonly prefix: number;
  /** `255.255.255.0` */
  readonly netmask: string;
}

/** Reads `192.168.56.1/24`. Throws `bad-setting`. */
export function parseCidr(text: string): Cidr {
  const [, address = '', digits = ''] = /^(\d{1,3}(?:\.\d{1,3}){3})\/(\d{1,2})$/.exec(text) ?? [];
  const prefix = Number(digits);
  const fits =
    address !== '' && prefix >= 8 && prefix <= 30 && address.split('.').every(part => Number(part) <= 255);
  if (fits && toNumber(address) !== networkOf(address, prefix))
    return {address, prefix, netmask: toText(maskOf(prefix))};
  throw new MachineError('bad-setting', `--virtualbox-hostonly-cidr is "${text}"`, {
    remedy: 'give the address that this host is to have, for instance 192.168.56.1/24',
  });
}

/** VirtualBox 6.1.28 and later: without /etc/vbox/networks.conf only 192.168.56.0/21 may be used. */
export function isInDefaultRange({address, prefix}: Cidr): boolean {
  return prefix >= 21 && networkOf(address, 21) === toNumber('192.168.56.0');
}

/** The first address that nobody holds, in an order that follows from `start`; undefined when all are taken. */
export function freeAddress(cidr: Cidr, start: number, taken: ReadonlySet<string>): string | undefined {
  const network = networkOf(cidr.address, cidr.prefix);
  const size = 2 ** (32 - cidr.prefix);
  // Neither the network's own address nor the broadcast's.
  for (let step = 0; step < size - 2; step++) {
    const address = toText(network + 1 + ((start + step) % (size - 2)));
    if (address !== cidr.address && !taken.has(address)) return address;
  }
  return undefined;
}

export function sameNetwork(a: {address: string; netmask: string}, cidr: Cidr): boolean {
  return (
    a.netmask === cidr.netmask && networkOf(a.address, cidr.prefix) === networkOf(cidr.address, cidr.prefix)
  );
}

function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function toText(number: number): string {
  return [24, 16, 8, 0].map(shift => Math.floor(number / 2 ** shift) % 256).join('.');
}

function maskOf(prefix: number): number {
  return 2 ** 32 - 2 ** (32 - prefix);
}

function networkOf(address: string, prefix: number): number {
  const size = 2 ** (32 - prefix);
  return Math.floor(toNumber(address) / size) * size;
}
