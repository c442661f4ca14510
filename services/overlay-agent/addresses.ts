/** Addresses that this host may hand out by itself, since they lie in blocks that it holds. Pure. */
import type {OverlayLease, OverlayNetwork} from '../common/contracts/overlay.ts';
import {contains, formatAddress, lastOf, parseAddress, parsePrefix, type Prefix} from '../common/ipv4.ts';
import type {AgentRecord} from './record.ts';
import type {FollowedState} from './state.ts';

/** Blocks of a network that `machine` holds. */
export function ownBlocks(state: FollowedState, network: string, machine: string): Prefix[] {
  return leasesOf(state, network).flatMap(lease =>
    lease.machine === machine && lease.released === undefined ? (parsePrefix(lease.block) ?? []) : [],
  );
}

export function leasesOf(state: FollowedState, network: string): OverlayLease[] {
  return [...state.leases.values()].filter(lease => lease.network === network);
}

/** Blocks of a network that other machines hold, as far as is known here. */
export function foreignBlocks(state: FollowedState, network: string, machine: string): Prefix[] {
  return leasesOf(state, network).flatMap(lease =>
    lease.machine !== machine && lease.released === undefined ? (parsePrefix(lease.block) ?? []) : [],
  );
}

/**
 * Free addresses in own blocks, in the order in which they are to be used: those behind the one that was handed out
 * last come first, so that an address rests for as long as it can. What another machine holds as well (`foreign`: in a
 * store that was set back) is nobody's to hand out.
 */
export function freeAddresses(
  network: OverlayNetwork,
  blocks: readonly Prefix[],
  record: AgentRecord,
  last: number | undefined,
  foreign: readonly Prefix[] = [],
): number[] {
  const taken = new Set(
    record.allocations.flatMap(each =>
      each.network === network.id ? (parseAddress(each.address) ?? []) : [],
    ),
  );
  const kept = [...network.reserved.flatMap(each => parsePrefix(each) ?? []), ...foreign];
  const free: number[] = [];
  for (const block of blocks)
    for (let address = block.first; address <= lastOf(block); address++)
      if (!taken.has(address) && mayUse(network, address) && !isIn(kept, address)) free.push(address);
  free.sort((one, other) => one - other);
  const next = last === undefined ? -1 : free.findIndex(address => address > last);
  return next < 0 ? free : [...free.slice(next), ...free.slice(0, next)];
}

/** Whether some container may have the address: in the subnet, neither its ends nor the gateway. */
export function mayUse({subnet, gateway}: OverlayNetwork, address: number): boolean {
  const prefix = parsePrefix(subnet);
  if (prefix === undefined || !contains(prefix, address)) return false;
  return address !== prefix.first && address !== lastOf(prefix) && formatAddress(address) !== gateway;
}

function isIn(prefixes: readonly Prefix[], address: number): boolean {
  return prefixes.some(prefix => contains(prefix, address));
}

/** A MAC of the address's own: the same wherever it is handed out. */
export function macOf(address: string): string {
  const octets = address.split('.').map(octet => Number(octet).toString(16).padStart(2, '0'));
  return ['02', '68', ...octets].join(':');
}
