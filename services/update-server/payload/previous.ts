/** The payload of the release before: its leaves, which release brought each block, and the blocks themselves. */
import {createHash} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {openFileSource, type FileSource} from '../../common/formats/file-source.ts';
import {sha256} from '../../common/hash.ts';
import {PayloadError} from '../../common/payload/errors.ts';
import {readIndex, readSpans} from '../../common/payload/index-format.ts';
import {blockBytes, leafBytes, type Extent} from '../../common/payload/layout.ts';
import {createLeafMap} from '../../common/payload/leaf-map.ts';
import {readSizes} from '../../common/payload/patch-table.ts';
import {describeTarget, groupsOf, storeOrder} from '../../common/payload/plan.ts';
import type {PreviousRelease} from '../../common/payload/ports.ts';
import {decompress} from './zstd.ts';

export interface PreviousPayload extends AsyncDisposable {
  readonly rootHash: string;
  readonly leaves: Uint8Array;
  /** The generation that the block with this leaf had, or undefined for one that the release does not have. */
  generation(leaves: Uint8Array, at: number): number | undefined;
  readonly generations: number;
  /** The frame of a group with these leaves, ready made. */
  frame(groupName: string): Promise<Uint8Array | undefined>;
  /** The content of these blocks, one after the other. */
  blocks(wanted: Uint32Array): Promise<Uint8Array>;
}

/** Opens the payload of `previous`. Throws {@link PayloadError} `payload-damaged` for an index that is not the manifest's. */
export async function openPrevious(
  {manifest, repository}: PreviousRelease,
  zeroLeaf: Uint8Array,
): Promise<PreviousPayload> {
  const bytes = await readFile(join(repository, manifest.payload.path));
  if (sha256(bytes) !== manifest.payload.sha256) {
    throw new PayloadError('payload-damaged', "the previous release's index is not what its manifest says", {
      context: {layer: 'index'},
    });
  }
  const {head} = readIndex(bytes);
  const store = await openFileSource(join(repository, head.store.path));
  const leaves = await store.read(head.leaves.offset, head.leaves.size);
  const map = createLeafMap(leaves, head.blocks);
  for (let block = 0; block < head.blocks; block += 1) map.add(block);
  const target = describeTarget(leaves, zeroLeaf);
  const spans = await store.read(head.spans.offset, head.spans.size);
  const generationOf = readSpans(spans, head.blocks, head.generations.length);
  const orders = storeOrder(target, generationOf, head.generations.length);
  const frames = new Map<string, Extent>();
  const frameOfBlock = new Map<number, {extent: Extent; order: Uint32Array}>();
  for (const [number, {offset, table, rule}] of head.generations.entries()) {
    const order = orders[number] ?? new Uint32Array();
    const sizes = readSizes(await store.read(table.offset, table.size));
    let at = offset;
    for (const [position, {first, count}] of groupsOf(target, order, rule).entries()) {
      const blocks = order.subarray(first, first + count);
      const extent = {offset: at, size: sizes[position] ?? 0};
      at += extent.size;
      frames.set(groupName(leaves, blocks), extent);
      for (const block of blocks) frameOfBlock.set(block, {extent, order: blocks});
    }
  }
  return {
    rootHash: head.rootHash,
    leaves,
    generations: head.generations.length,
    generation: (other, at) => {
      const found = map.find(other, at);
      return found === -1 ? undefined : generationOf[found];
    },
    frame: async name => {
      const extent = frames.get(name);
      return extent === undefined ? undefined : store.read(extent.offset, extent.size);
    },
    blocks: wanted =>
      unpack(
        store,
        wanted.map(block => target.first[block] ?? block),
        block => frameOfBlock.get(block),
      ),
    [Symbol.asyncDispose]: () => store.close(),
  };
}

/** Names a group by its content. */
export function groupName(leaves: Uint8Array, blocks: Uint32Array): string {
  const hash = createHash('sha256');
  for (const block of blocks) hash.update(leaves.subarray(block * leafBytes, (block + 1) * leafBytes));
  return hash.digest('base64');
}

async function unpack(
  store: FileSource,
  wanted: Uint32Array,
  frameOf: (block: number) => {extent: Extent; order: Uint32Array} | undefined,
): Promise<Uint8Array> {
  const out = new Uint8Array(wanted.length * blockBytes);
  let current: {extent: Extent; bytes: Uint8Array; places: Map<number, number>} | undefined;
  for (const [position, block] of wanted.entries()) {
    const frame = frameOf(block);
    if (frame === undefined) continue; // zeros
    if (current?.extent !== frame.extent) {
      const {extent, order} = frame;
      const bytes = await decompress(await store.read(extent.offset, extent.size), order.length * blockBytes);
      current = {extent, bytes, places: new Map(Array.from(order, (one, index) => [one, index]))};
    }
    const place = (current.places.get(block) ?? 0) * blockBytes;
    out.set(current.bytes.subarray(place, place + blockBytes), position * blockBytes);
  }
  return out;
}
