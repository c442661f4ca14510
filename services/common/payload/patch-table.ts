/**
 * The patch from the predecessor: zstd frames over the blocks of generation 0, in store order, each with a raw
 * dictionary taken from the blocks that the predecessor has and the new release has no more (`disappearedBlocks`).
 */
import {createReader, createWriter} from './bytes.ts';

export interface PatchFrame {
  /** Blocks of generation 0 that it holds; frames follow each other. */
  readonly count: number;
  /** The dictionary: a stretch of the disappeared blocks. */
  readonly dictionaryFirst: number;
  readonly dictionaryCount: number;
  /** Bytes in the store. */
  readonly size: number;
}

/** Blocks: bounds what a machine needs in memory for one frame. */
export const maxDictionaryBlocks = 2048;
export const maxFrameBlocks = 512;

export function writePatchTable(frames: readonly PatchFrame[]): Uint8Array {
  const out = createWriter();
  for (const frame of frames) {
    out.number(frame.count);
    out.number(frame.dictionaryFirst);
    out.number(frame.dictionaryCount);
    out.number(frame.size);
  }
  return out.take();
}

export function readPatchTable(bytes: Uint8Array): PatchFrame[] {
  const reader = createReader(bytes, 'table');
  const frames: PatchFrame[] = [];
  while (!reader.ended) {
    frames.push({
      count: reader.number(),
      dictionaryFirst: reader.number(),
      dictionaryCount: reader.number(),
      size: reader.number(),
    });
  }
  return frames;
}

/** Sizes of the frames of a generation. */
export function writeSizes(sizes: readonly number[]): Uint8Array {
  const out = createWriter();
  for (const size of sizes) out.number(size);
  return out.take();
}

export function readSizes(bytes: Uint8Array): number[] {
  const reader = createReader(bytes, 'table');
  const sizes: number[] = [];
  while (!reader.ended) sizes.push(reader.number());
  return sizes;
}
