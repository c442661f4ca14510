/** IPv4 addresses and prefixes as numbers. Pure. */

/** A prefix: its first address as a number, and its length in bits. The bits behind the length are 0. */
export interface Prefix {
  readonly first: number;
  readonly length: number;
}

const ADDRESS = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;

/** `10.0.0.1` as a number, or undefined for anything else. */
export function parseAddress(text: string): number | undefined {
  const octets = ADDRESS.exec(text)?.slice(1);
  if (octets === undefined || octets.some(octet => Number(octet) > 255)) return undefined;
  return octets.reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map(shift => (address >>> shift) & 255).join('.');
}

/** `10.0.0.0/24`; undefined for anything else, also when bits behind the length are set. */
export function parsePrefix(text: string): Prefix | undefined {
  const [address = '', digits = '', ...rest] = text.split('/');
  const first = parseAddress(address);
  const length = Number(digits);
  if (first === undefined || rest.length > 0 || !/^\d{1,2}$/.test(digits) || length > 32) return undefined;
  const prefix = {first, length};
  return first % sizeOf(prefix) === 0 ? prefix : undefined;
}

export function formatPrefix({first, length}: Prefix): string {
  return `${formatAddress(first)}/${length}`;
}

/** Addresses in the prefix, the first and the last one included. */
export function sizeOf({length}: {readonly length: number}): number {
  return 2 ** (32 - length);
}

export function lastOf(prefix: Prefix): number {
  return prefix.first + sizeOf(prefix) - 1;
}

export function overlaps(one: Prefix, other: Prefix): boolean {
  return one.first <= lastOf(other) && other.first <= lastOf(one);
}

export function contains(outer: Prefix, address: number): boolean {
  return address >= outer.first && address <= lastOf(outer);
}

/** The prefix of `length` bits around an address. */
export function prefixAround(address: number, length: number): Prefix {
  const size = sizeOf({length});
  return {first: Math.floor(address / size) * size, length};
}
