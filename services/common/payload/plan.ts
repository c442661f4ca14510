/**
 * The plan of an update, from two lists of leaves: where each block of the target comes from, and which parts of the
 * store must be fetched for those that the machine lacks. Data in, data out.
 */
import {cutLengths} from './cut.ts';
import {leafBytes, type CutRule} from './layout.ts';
import {createLeafMap, equalLeaf} from './leaf-map.ts';

/** In {@link BlockPlan.source}: nothing but zeros. */
export const zeroBlock = -1;
/** In {@link BlockPlan.source}: to be fetched. */
export const missingBlock = -2;

export interface TargetBlocks {
  readonly leaves: Uint8Array;
  readonly count: number;
  /** For each block the first block with the same content: itself, mostly. */
  readonly first: Int32Array;
  /** For each block the next one with the same content, or -1. */
  readonly next: Int32Array;
  /** 1 for blocks of zeros: these are neither stored nor fetched. */
  readonly zero: Uint8Array;
}

/** Finds equal blocks among the leaves of a release. */
export function describeTarget(leaves: Uint8Array, zeroLeaf: Uint8Array): TargetBlocks {
  const count = leaves.length / leafBytes;
  const map = createLeafMap(leaves, count);
  const first = new Int32Array(count);
  const next = new Int32Array(count).fill(-1);
  const last = new Int32Array(count);
  const zero = new Uint8Array(count);
  for (let block = 0; block < count; block += 1) {
    const same = map.add(block);
    first[block] = same;
    if (same !== block) next[last[same] ?? 0] = block;
    last[same] = block;
    zero[block] = equalLeaf(leaves, block * leafBytes, zeroLeaf, 0) ? 1 : 0;
  }
  return {leaves, count, first, next, zero};
}

export interface BlockPlan {
  /** For each block of the target: a block of the running release, {@link zeroBlock} or {@link missingBlock}. */
  readonly source: Int32Array;
  readonly missing: number;
}

/** Where each block comes from. `own`: leaves of what the machine runs, empty for nothing. */
export function planBlocks(target: TargetBlocks, own: Uint8Array): BlockPlan {
  const ownCount = own.length / leafBytes;
  const map = createLeafMap(own, ownCount);
  for (let index = 0; index < ownCount; index += 1) map.add(index);
  const source = new Int32Array(target.count);
  let missing = 0;
  for (let block = 0; block < target.count; block += 1) {
    const found = target.zero[block] === 1 ? zeroBlock : map.find(target.leaves, block * leafBytes);
    source[block] = found === -1 && target.zero[block] !== 1 ? missingBlock : found;
    if (source[block] === missingBlock) missing += 1;
  }
  return {source, missing};
}

/**
 * Blocks of the store's generations, in the order in which they are stored: the first of equal blocks, none of zeros.
 * Generation 0 is what this release brought, the last one what no recorded release brought.
 */
export function storeOrder(
  target: TargetBlocks,
  generationOf: Uint8Array,
  generations: number,
): Uint32Array[] {
  const sizes = new Uint32Array(generations);
  const stored = (block: number) => target.first[block] === block && target.zero[block] === 0;
  for (let block = 0; block < target.count; block += 1) {
    const generation = generationOf[block] ?? 0;
    if (stored(block)) sizes[generation] = (sizes[generation] ?? 0) + 1;
  }
  const orders = Array.from(sizes, size => new Uint32Array(size));
  sizes.fill(0);
  for (let block = 0; block < target.count; block += 1) {
    if (!stored(block)) continue;
    const generation = generationOf[block] ?? 0;
    const order = orders[generation];
    if (order === undefined) continue;
    order[sizes[generation] ?? 0] = block;
    sizes[generation] = (sizes[generation] ?? 0) + 1;
  }
  return orders;
}

/** A piece of a generation's order that is one zstd frame in the store. */
export interface Group {
  readonly first: number;
  readonly count: number;
}

export function groupsOf(target: TargetBlocks, order: Uint32Array, rule: CutRule): Group[] {
  let first = 0;
  const lengths = cutLengths(target.leaves, order.length, rule, index => (order[index] ?? 0) * leafBytes);
  return lengths.map(count => {
    const group = {first, count};
    first += count;
    return group;
  });
}

/** Indexes of the groups that hold a block for which `wanted` says so. */
export function wantedGroups(
  order: Uint32Array,
  groups: readonly Group[],
  wanted: (block: number) => boolean,
): number[] {
  return groups.flatMap(({first, count}, index) =>
    order.subarray(first, first + count).some(block => wanted(block)) ? [index] : [],
  );
}

/** Generation 0 as a machine that runs the predecessor knows it: what `own` does not have, as {@link storeOrder} has it. */
export function newBlocks(target: TargetBlocks, own: Uint8Array): Uint32Array {
  const {source} = planBlocks(target, own);
  const generationOf = Uint8Array.from(source, one => (one === missingBlock ? 0 : 1));
  return storeOrder(target, generationOf, 2)[0] ?? new Uint32Array();
}

/** Blocks of `own` whose content the target does not have, in order: what a patch draws on. */
export function disappearedBlocks(own: Uint8Array, target: TargetBlocks): Uint32Array {
  const count = own.length / leafBytes;
  const map = createLeafMap(target.leaves, target.count);
  for (let block = 0; block < target.count; block += 1) map.add(block);
  const gone: number[] = [];
  for (let index = 0; index < count; index += 1)
    if (map.find(own, index * leafBytes) === -1) gone.push(index);
  return Uint32Array.from(gone);
}
