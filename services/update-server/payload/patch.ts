/** Makes the patch from the predecessor: frames over the new blocks that draw on the blocks which disappeared. */
import type {ByteSource} from '../../common/formats/byte-source.ts';
import {blockBytes} from '../../common/payload/layout.ts';
import {maxDictionaryBlocks, type PatchFrame} from '../../common/payload/patch-table.ts';
import type {Group} from '../../common/payload/plan.ts';
import {bestStretch, indexAnchors} from './anchors.ts';
import type {PreviousPayload} from './previous.ts';
import {readBlocks} from './release-input.ts';
import type {StoreWriter} from './store-writer.ts';
import {compress, inOrder} from './zstd.ts';

export interface PatchInput {
  readonly source: ByteSource;
  /** Generation 0: the blocks, and how its frames are cut. */
  readonly order: Uint32Array;
  readonly groups: readonly Group[];
  readonly previous: PreviousPayload;
  /** Of the predecessor. */
  readonly disappeared: Uint32Array;
  readonly signal: AbortSignal;
}

/** Neighbours of the best stretch come along: their anchors may just not have been sampled. */
const MARGIN_BLOCKS = 32;

/**
 * Levels of zstd are chosen by how much there is to do: a kernel changes a hundred times what a library does, and its
 * frames would keep a publisher busy for an hour at the best level.
 */
const BEST_LEVEL_BLOCKS = 16_384;

/** Appends the frames to `store`. */
export async function writePatch(store: StoreWriter, input: PatchInput): Promise<PatchFrame[]> {
  const {source, order, groups, previous, disappeared, signal} = input;
  const old = await previous.blocks(disappeared);
  const anchors = indexAnchors(old);
  const level = order.length <= BEST_LEVEL_BLOCKS ? 19 : 16;
  const frames: PatchFrame[] = [];
  await inOrder(
    groups,
    async ({first, count}) => {
      signal.throwIfAborted();
      const bytes = await readBlocks(source, order.subarray(first, first + count));
      const best = bestStretch(anchors.votes(bytes), maxDictionaryBlocks - 2 * MARGIN_BLOCKS);
      const from = best.count === 0 ? 0 : Math.max(0, best.first - MARGIN_BLOCKS);
      const to = best.count === 0 ? 0 : Math.min(disappeared.length, best.first + best.count + MARGIN_BLOCKS);
      const dictionary = old.subarray(from * blockBytes, to * blockBytes);
      const frame = await compress(bytes, level, dictionary.length === 0 ? {} : {dictionary});
      return {frame, count, dictionaryFirst: from, dictionaryCount: to - from};
    },
    async ({frame, ...rest}) => {
      frames.push({...rest, size: frame.length});
      await store.append(frame);
    },
  );
  return frames;
}
