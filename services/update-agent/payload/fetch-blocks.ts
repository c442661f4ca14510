/** Second pass: what the machine lacks, from the patch where it starts from what runs here, else from the groups. */
import {PayloadError} from '../../common/payload/errors.ts';
import {readSpans, type PayloadIndex} from '../../common/payload/index-format.ts';
import {blockBytes, leafBytes, type Extent} from '../../common/payload/layout.ts';
import {
  maxDictionaryBlocks,
  maxFrameBlocks,
  readPatchTable,
  readSizes,
  type PatchFrame,
} from '../../common/payload/patch-table.ts';
import {
  disappearedBlocks,
  groupsOf,
  newBlocks,
  storeOrder,
  wantedGroups,
  type TargetBlocks,
} from '../../common/payload/plan.ts';
import type {LeafHash} from './leaf-hash.ts';
import {damaged, DamageError, fetchPieces, fetchTable, type PieceSource} from './pieces.ts';
import type {SlotDevice} from './slot-device.ts';
import {release, unpack} from './zstd.ts';

export interface FetchInput {
  readonly source: PieceSource;
  readonly index: PayloadIndex;
  readonly target: TargetBlocks;
  readonly placed: Uint8Array;
  readonly hash: LeafHash;
  readonly slot: SlotDevice;
  readonly running:
    {readonly device: SlotDevice; readonly rootHash: string; readonly leaves: Uint8Array} | undefined;
  readonly onProgress: (blocks: number) => void;
}

/** Returns whether the patch was used. Throws {@link PayloadError}. */
export async function fetchBlocks(input: FetchInput): Promise<boolean> {
  const {source, index, target} = input;
  const {generations, spans} = index.head;
  const patched = await applyPatch(input);
  // Mostly nothing is left now, and what is not needed is not fetched.
  if (!input.placed.includes(0)) return patched;
  const generationOf = readSpans(await fetchTable(source, 'table', spans), target.count, generations.length);
  const orders = storeOrder(target, generationOf, generations.length);
  for (const [number, {offset, table, rule}] of generations.entries()) {
    const order = orders[number] ?? new Uint32Array();
    const groups = groupsOf(target, order, rule);
    const wanted = wantedGroups(order, groups, block => isWanted(input, block));
    if (wanted.length === 0) continue;
    const extents = extentsOf(offset, readSizes(await fetchTable(source, 'table', table)));
    if (extents.length !== groups.length) throw damaged('table', {generation: number});
    await fetchPieces(
      source,
      'blocks',
      wanted.map(position => {
        const {first, count} = groups[position] ?? {first: 0, count: 0};
        const blocks = order.subarray(first, first + count);
        return {
          ...(extents[position] ?? {offset: 0, size: 0}),
          accept: async frame => {
            const content = unpack(frame, count * blockBytes, {block: blocks[0]});
            await placeBlocks(input, blocks, content);
            release(content);
            release(frame);
          },
        };
      }),
    );
  }
  return patched;
}

/** Takes what it can of the patch; a frame that does not apply is left to the groups. */
async function applyPatch(input: FetchInput): Promise<boolean> {
  const {patch} = input.index.head;
  const {running} = input;
  if (patch === undefined || running === undefined || running.rootHash !== patch.from) return false;
  const order = newBlocks(input.target, running.leaves);
  if (!order.some(block => isWanted(input, block))) return false;
  const frames = readPatchTable(await fetchTable(input.source, 'table', patch.table));
  const extents = extentsOf(
    patch.offset,
    frames.map(frame => frame.size),
  );
  checkFrames(frames, order.length);
  const gone = disappearedBlocks(running.leaves, input.target);
  // One for all frames: 8 MB each would pile up until they are collected.
  const room = new Uint8Array(maxDictionaryBlocks * blockBytes);
  let first = 0;
  let used = false;
  const pieces = frames.flatMap((frame, position) => {
    const blocks = order.subarray(first, first + frame.count);
    first += frame.count;
    if (!blocks.some(block => isWanted(input, block))) return [];
    return {
      ...(extents[position] ?? {offset: 0, size: 0}),
      accept: async (bytes: Uint8Array) => {
        const dictionary = await readDictionary(running, gone, frame, room);
        if (dictionary === undefined) return;
        const content = unpack(
          bytes,
          frame.count * blockBytes,
          {block: blocks[0]},
          dictionary.length === 0 ? undefined : dictionary,
        );
        await placeBlocks(input, blocks, content);
        release(content);
        release(bytes);
        used = true;
      },
    };
  });
  try {
    await fetchPieces(input.source, 'patch', pieces);
  } catch (error) {
    // A patch is a short cut: where it leads nowhere, the groups still do.
    if (!(error instanceof PayloadError) || error.code !== 'payload-damaged') throw error;
  }
  return used;
}

function checkFrames(frames: readonly PatchFrame[], blocks: number): void {
  const sum = frames.reduce((total, frame) => total + frame.count, 0);
  const bounded = frames.every(
    ({count, dictionaryCount}) => count <= maxFrameBlocks && dictionaryCount <= maxDictionaryBlocks,
  );
  if (sum !== blocks || !bounded) throw damaged('table', {patch: true});
}

async function readDictionary(
  {device}: NonNullable<FetchInput['running']>,
  gone: Uint32Array,
  {dictionaryFirst, dictionaryCount}: PatchFrame,
  room: Uint8Array,
): Promise<Uint8Array | undefined> {
  if (dictionaryFirst + dictionaryCount > gone.length) return undefined;
  const bytes = room.subarray(0, dictionaryCount * blockBytes);
  for (let i = 0; i < dictionaryCount;) {
    const first = gone[dictionaryFirst + i] ?? 0;
    let count = 1;
    while (i + count < dictionaryCount && gone[dictionaryFirst + i + count] === first + count) count += 1;
    await device.read(bytes.subarray(i * blockBytes, (i + count) * blockBytes), first * blockBytes);
    i += count;
  }
  return bytes;
}

/** Whether any block with the content of `block`, the first of them, is not in place. */
function isWanted({target, placed}: FetchInput, block: number): boolean {
  for (let one = block; one !== -1; one = target.next[one] ?? -1) if (placed[one] === 0) return true;
  return false;
}

/** Writes the wanted ones of `blocks`, whose content is `bytes`, to every place. Throws {@link DamageError}. */
async function placeBlocks(input: FetchInput, blocks: Uint32Array, bytes: Uint8Array): Promise<void> {
  const {target, placed, hash, slot} = input;
  let written = 0;
  for (const [position, block] of blocks.entries()) {
    if (!isWanted(input, block)) continue;
    const content = bytes.subarray(position * blockBytes, (position + 1) * blockBytes);
    if (!hash.fits(content, target.leaves, block * leafBytes)) throw new DamageError({block});
    for (let one = block; one !== -1; one = target.next[one] ?? -1) {
      if (placed[one] === 1) continue;
      await slot.write(content, one * blockBytes);
      placed[one] = 1;
      written += 1;
    }
  }
  input.onProgress(written);
}

function extentsOf(offset: number, sizes: readonly number[]): Extent[] {
  let at = offset;
  return sizes.map(size => {
    const extent = {offset: at, size};
    at += size;
    return extent;
  });
}
