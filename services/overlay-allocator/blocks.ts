/** Which block of a network's addresses a machine gets. Pure. */
import {contains, lastOf, overlaps, prefixAround, sizeOf, type Prefix} from '../common/ipv4.ts';

/** A lease as the choice sees it. */
export interface Held {
  readonly key: string;
  readonly block: Prefix;
  readonly machine: string;
  /**
   * `held`: nobody else's. `released`: given back at `at`. `expired`: its machine was last heard of at `at`, longer ago
   * than the grace time.
   */
  readonly standing: 'held' | 'released' | 'expired';
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export interface Field {
  readonly subnet: Prefix;
  readonly gateway: number;
  readonly reserved: readonly Prefix[];
  readonly held: readonly Held[];
}

export interface Choice {
  readonly block: Prefix;
  /** What made way for it: leases that were given back or whose machine is long gone. */
  readonly instead: readonly Held[];
}

/** Bits of the block that a machine gets at a time: 1/32 of the network, but no more than 64 addresses. */
export function blockLength(subnet: Prefix): number {
  return Math.min(32, Math.max(26, subnet.length + 5));
}

/** Whether a container may have this address. */
export function isUsable({subnet, gateway}: Pick<Field, 'subnet' | 'gateway'>, address: number): boolean {
  if (!contains(subnet, address) || address === gateway) return false;
  // RFC 3021: a network of two addresses has no network and broadcast address.
  return subnet.length >= 31 || (address !== subnet.first && address !== lastOf(subnet));
}

/** Addresses of the network that some container may have. */
export function usableCount(field: Pick<Field, 'subnet' | 'gateway'>): number {
  const {subnet, gateway} = field;
  const all = subnet.length >= 31 ? sizeOf(subnet) : sizeOf(subnet) - 2;
  return all - (contains(subnet, gateway) ? 1 : 0);
}

/**
 * A block for `machine`: of the usual size, else a smaller one. First what it gave back itself, then what was never used,
 * then what was given back longest ago; only when there is nothing else, what belongs to the machine that is silent for
 * longest. Undefined when the network is used up.
 */
export function chooseBlock(field: Field, machine: string): Choice | undefined {
  const lengths = Array.from(
    {length: 33 - blockLength(field.subnet)},
    (_, index) => blockLength(field.subnet) + index,
  );
  for (const alsoExpired of [false, true]) {
    for (const length of lengths) {
      const choice = bestOf(field, machine, length, alsoExpired);
      if (choice !== undefined) return choice;
    }
  }
  return undefined;
}

/** The block `wanted` itself, if nobody holds any of it; undefined, and who does, otherwise. */
export function takeBlock(field: Field, machine: string, wanted: Prefix): Choice | {readonly by: Held} {
  const touching = field.held.filter(({block}) => overlaps(block, wanted));
  const by = touching.find(({standing, machine: owner}) => standing === 'held' && owner !== machine);
  const own = touching.find(({standing, machine: owner}) => standing === 'held' && owner === machine);
  if (by !== undefined) return {by};
  if (own !== undefined) return {by: own};
  return {block: wanted, instead: touching};
}

interface Slot {
  readonly used: Held[];
  blocked: boolean;
}

function bestOf(field: Field, machine: string, length: number, alsoExpired: boolean): Choice | undefined {
  const {subnet, reserved, held} = field;
  const size = sizeOf({length});
  const count = Math.max(1, sizeOf(subnet) / size);
  const slots = new Map<number, Slot>();
  const each = (block: Prefix, change: (slot: Slot) => void): void => {
    const first = Math.max(0, Math.floor((block.first - subnet.first) / size));
    const last = Math.min(count - 1, Math.floor((lastOf(block) - subnet.first) / size));
    for (let index = first; index <= last; index++) {
      const slot = slots.get(index) ?? {used: [], blocked: false};
      slots.set(index, slot);
      change(slot);
    }
  };
  for (const block of reserved) each(block, slot => (slot.blocked = true));
  for (const lease of held) {
    const taken = lease.standing === 'held' || (lease.standing === 'expired' && !alsoExpired);
    each(lease.block, slot => {
      slot.used.push(lease);
      slot.blocked ||= taken;
    });
  }
  let best: {readonly index: number; readonly rank: number; readonly used: readonly Held[]} | undefined;
  for (let index = 0; index < count; index++) {
    const slot = slots.get(index);
    if (slot?.blocked === true || !someUsable(field, {first: subnet.first + index * size, length})) continue;
    const rank = rankOf(slot?.used ?? [], machine);
    if (best === undefined || rank < best.rank) best = {index, rank, used: slot?.used ?? []};
  }
  if (best === undefined) return undefined;
  return {block: {first: subnet.first + best.index * size, length}, instead: best.used};
}

/** Lower is better: own, never used, then by when it was used last. */
function rankOf(used: readonly Held[], machine: string): number {
  if (used.length === 0) return -1;
  if (used.every(each => each.machine === machine)) return -2;
  return Math.max(...used.map(({at}) => at));
}

function someUsable(field: Field, block: Prefix): boolean {
  if (block.length < 30) return true;
  for (let address = block.first; address <= lastOf(block); address++)
    if (isUsable(field, address)) return true;
  return false;
}

/** The single address as a block. */
export function single(address: number): Prefix {
  return prefixAround(address, 32);
}
