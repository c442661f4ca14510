/**
 * First pass over the idle slot: what is right already stays, what the running slot has is copied. Both are hashed as
 * they are read, so an interrupted update goes on by what the slot holds, not by what some file says about it.
 */
import {blockBytes, leafBytes} from '../../common/payload/layout.ts';
import {missingBlock, zeroBlock, type BlockPlan, type TargetBlocks} from '../../common/payload/plan.ts';
import type {LeafHash} from './leaf-hash.ts';
import type {SlotDevice} from './slot-device.ts';

export interface CopyInput {
  readonly target: TargetBlocks;
  readonly plan: BlockPlan;
  readonly hash: LeafHash;
  readonly slot: SlotDevice;
  readonly running: SlotDevice | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (blocks: number) => void;
}

export interface CopyResult {
  /** 1 for blocks that are in place. */
  readonly placed: Uint8Array;
  readonly kept: number;
  readonly copied: number;
}

const WINDOW_BLOCKS = 256;

export async function copyBlocks(input: CopyInput): Promise<CopyResult> {
  const {target, signal} = input;
  const placed = new Uint8Array(target.count);
  const buffer = new Uint8Array(WINDOW_BLOCKS * blockBytes);
  const scratch = new Uint8Array(WINDOW_BLOCKS * blockBytes);
  let [kept, copied] = [0, 0];
  for (let first = 0; first < target.count; first += WINDOW_BLOCKS) {
    signal.throwIfAborted();
    const count = Math.min(WINDOW_BLOCKS, target.count - first);
    const window = buffer.subarray(0, count * blockBytes);
    await input.slot.read(window, first * blockBytes);
    const changed = new Uint8Array(count);
    kept += keepBlocks(input, first, window, placed);
    copied += await bringBlocks(input, first, window, scratch, placed, changed);
    await writeChanged(input.slot, first, window, changed);
    input.onProgress(kept + copied);
  }
  return {placed, kept, copied};
}

const zeros = Buffer.alloc(blockBytes);

/** Marks the blocks of the window that are right as they stand. */
function keepBlocks(
  {target, hash}: CopyInput,
  first: number,
  window: Uint8Array,
  placed: Uint8Array,
): number {
  let kept = 0;
  for (let at = 0, block = first; at < window.length; at += blockBytes, block += 1) {
    const bytes = window.subarray(at, at + blockBytes);
    const isZero = zeros.equals(bytes);
    const right =
      target.zero[block] === 1 ? isZero : !isZero && hash.fits(bytes, target.leaves, block * leafBytes);
    if (!right) continue;
    placed[block] = 1;
    kept += 1;
  }
  return kept;
}

/** Brings into the window what is zeros or stands in the running slot; a block that does not fit its leaf is left. */
async function bringBlocks(
  {target, plan, hash, running}: CopyInput,
  first: number,
  window: Uint8Array,
  scratch: Uint8Array,
  placed: Uint8Array,
  changed: Uint8Array,
): Promise<number> {
  let copied = 0;
  const take = (index: number, bytes: Uint8Array) => {
    window.set(bytes, index * blockBytes);
    changed[index] = 1;
    placed[first + index] = 1;
  };
  const sourceOf = (index: number) =>
    index < changed.length && placed[first + index] === 0
      ? (plan.source[first + index] ?? missingBlock)
      : missingBlock;
  for (let index = 0; index < changed.length;) {
    const from = sourceOf(index);
    let count = 1;
    if (from === zeroBlock) take(index, zeros);
    else if (from >= 0 && running !== undefined) {
      while (sourceOf(index + count) === from + count) count += 1;
      const bytes = scratch.subarray(0, count * blockBytes);
      await running.read(bytes, from * blockBytes);
      for (let i = 0; i < count; i += 1) {
        const one = bytes.subarray(i * blockBytes, (i + 1) * blockBytes);
        if (!hash.fits(one, target.leaves, (first + index + i) * leafBytes)) continue;
        take(index + i, one);
        copied += 1;
      }
    }
    index += count;
  }
  return copied;
}

async function writeChanged(
  slot: SlotDevice,
  first: number,
  window: Uint8Array,
  changed: Uint8Array,
): Promise<void> {
  for (let index = 0; index < changed.length;) {
    let count = 0;
    while (changed[index + count] === 1) count += 1;
    if (count > 0) {
      await slot.write(
        window.subarray(index * blockBytes, (index + count) * blockBytes),
        (first + index) * blockBytes,
      );
    }
    index += count + 1;
  }
}
