/** Numbers by leaf: 200,000 entries in a few megabytes, where a Map of strings would take 30. */
import {word} from './cut.ts';
import {leafBytes} from './layout.ts';

export interface LeafMap {
  /** The number that was added for the leaf at offset `at` of `leaves`, or -1. */
  find(leaves: Uint8Array, at: number): number;
  /** Adds index `index` of the map's own leaves, unless an equal leaf is there; returns the one that is. */
  add(index: number): number;
}

/** A map from the leaves in `own` (at most `capacity` of them are added) to their indexes. */
export function createLeafMap(own: Uint8Array, capacity: number): LeafMap {
  const size = 2 ** Math.ceil(Math.log2(Math.max(8, capacity * 2)));
  const slots = new Int32Array(size).fill(-1);
  const slotOf = (leaves: Uint8Array, at: number): number => {
    let slot = word(leaves, at) % size;
    for (;;) {
      const index = slots[slot] ?? -1;
      if (index === -1 || equalLeaf(own, index * leafBytes, leaves, at)) return slot;
      slot = (slot + 1) % size;
    }
  };
  return {
    find: (leaves, at) => slots[slotOf(leaves, at)] ?? -1,
    add: index => {
      const slot = slotOf(own, index * leafBytes);
      const there = slots[slot] ?? -1;
      if (there !== -1) return there;
      slots[slot] = index;
      return index;
    },
  };
}

export function equalLeaf(a: Uint8Array, atA: number, b: Uint8Array, atB: number): boolean {
  for (let i = 0; i < leafBytes; i += 1) if (a[atA + i] !== b[atB + i]) return false;
  return true;
}

/** Truncated leaves out of whole ones of 32 bytes. */
export function truncateLeaves(whole: Uint8Array): Uint8Array {
  const count = Math.floor(whole.length / 32);
  const short = new Uint8Array(count * leafBytes);
  for (let i = 0; i < count; i += 1) short.set(whole.subarray(i * 32, i * 32 + leafBytes), i * leafBytes);
  return short;
}
