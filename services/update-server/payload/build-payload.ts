/** Makes the payload of a release: the store with everything a host may lack, and the index that says where. */
import {createHash} from 'node:crypto';
import {mkdir, readFile} from 'node:fs/promises';
import {openFileSource} from '../../common/formats/file-source.ts';
import {sha256} from '../../common/hash.ts';
import {
  spansOf,
  writeIndex,
  writeRuns,
  writeSpans,
  type IndexHead,
} from '../../common/payload/index-format.ts';
import {leafBytes, type CutRule} from '../../common/payload/layout.ts';
import {writeLeafDelta} from '../../common/payload/leaf-delta.ts';
import {writePatchTable, writeSizes} from '../../common/payload/patch-table.ts';
import {
  describeTarget,
  disappearedBlocks,
  groupsOf,
  storeOrder,
  type TargetBlocks,
} from '../../common/payload/plan.ts';
import type {PayloadInput, PayloadOutput} from '../../common/payload/ports.ts';
import {runsOf} from '../../common/payload/runs.ts';
import {createBlockFinder} from './block-finder.ts';
import {writePatch} from './patch.ts';
import {groupName, openPrevious, type PreviousPayload} from './previous.ts';
import {openRelease, readBlocks, type ReleaseInput} from './release-input.ts';
import {createStoreWriter, type StoreWriter} from './store-writer.ts';
import {writeBootFile} from './write-boot-file.ts';
import {compress, inOrder} from './zstd.ts';

/** What no recorded release brought: small groups, since a machine may lack any of it. */
const oldRule: CutRule = {min: 16, mask: 63, max: 255};
/** What one release brought: a machine that lacks some of it lacks nearly all of it. */
const newRule: CutRule = {min: 256, mask: 255, max: 512};
/** Generations that are told apart; what is older counts as the oldest. */
const maxGenerations = 16;

/**
 * Writes the payload files of a release into `input.out`. The same input gives the same bytes. Throws PayloadError
 * `bad-release` where the parts do not belong together, and FormatError where one is not what it should be.
 */
export async function buildPayload(input: PayloadInput): Promise<PayloadOutput> {
  const {signal} = input;
  await mkdir(input.out, {recursive: true});
  await using usr = await openFileSource(input.usr);
  await using tree = await openFileSource(input.tree);
  const release = await openRelease(usr, tree, signal);
  const target = describeTarget(release.leaves, release.zeroLeaf);
  const store = await createStoreWriter(input.out, 'blocks');
  try {
    if (input.previous === undefined) return await build(input, release, target, store, undefined);
    await using previous = await openPrevious(input.previous, release.zeroLeaf);
    return await build(input, release, target, store, previous);
  } finally {
    await store.discard();
  }
}

async function build(
  input: PayloadInput,
  release: ReleaseInput,
  target: TargetBlocks,
  store: StoreWriter,
  previous: PreviousPayload | undefined,
): Promise<PayloadOutput> {
  const leaves = await store.append(release.leaves);
  const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
  const runs = await writeTable(store, writeRuns(runsOf(release.leaves, digest)));
  const {generationOf, count} = generationsOf(target, previous);
  const orders = storeOrder(target, generationOf, count);
  const generations: IndexHead['generations'] = [];
  const spans = await writeTable(store, writeSpans(spansOf(generationOf)));
  for (const [number, order] of orders.entries()) {
    const generation = await writeGeneration(input, release, store, {
      target,
      order,
      rule: number === count - 1 ? oldRule : newRule,
      // The few blocks of a release are packed well; the many of a first one quickly.
      level: number === 0 && count > 1 ? 19 : 9,
      previous,
    });
    generations.push(generation);
  }
  input.onProgress?.(0.9, 'patch');
  const patchAt = store.offset;
  const patch = await patchOf(input, release, target, store, orders[0], previous);
  const patchBytes = store.offset - patchAt;
  const finder = createBlockFinder(release);
  const uki = await writeBootFile(store, await readFile(input.uki), finder);
  const bootLoader = await writeBootFile(store, await readFile(input.bootLoader), finder);
  const file = await store.finish();
  const head: IndexHead = {
    schema: 1,
    rootHash: release.rootHash,
    blocks: target.count,
    store: file,
    leaves,
    runs,
    spans,
    generations,
    ...(patch === undefined ? {} : {patch}),
    uki: uki.head,
    bootLoader: bootLoader.head,
  };
  const index = await createStoreWriter(input.out, 'index');
  try {
    await index.append(writeIndex({head, uki: uki.pieces, bootLoader: bootLoader.pieces}));
    const payload = await index.finish();
    input.onProgress?.(1, 'done');
    return {
      rootHash: release.rootHash,
      payload,
      files: [payload, file],
      fullBytes: payload.size + file.size - patchBytes,
      usr: release.usr,
      uki: {size: uki.head.size, sha256: uki.head.sha256},
      bootLoader: {size: bootLoader.head.size, sha256: bootLoader.head.sha256},
    };
  } finally {
    await index.discard();
  }
}

/** 0 for what the predecessor does not have; the last one for what no recorded release brought. */
function generationsOf(
  target: TargetBlocks,
  previous: PreviousPayload | undefined,
): {generationOf: Uint8Array; count: number} {
  const generationOf = new Uint8Array(target.count);
  if (previous === undefined) return {generationOf, count: 1};
  const count = Math.min(maxGenerations, previous.generations + 1);
  for (let block = 0; block < target.count; block += 1) {
    const known = previous.generation(target.leaves, block * leafBytes);
    if (known !== undefined) generationOf[block] = Math.min(count - 1, known + 1);
  }
  return {generationOf, count};
}

interface GenerationInput {
  readonly target: TargetBlocks;
  readonly order: Uint32Array;
  readonly rule: CutRule;
  readonly level: number;
  readonly previous: PreviousPayload | undefined;
}

async function writeGeneration(
  {signal, onProgress}: PayloadInput,
  {source}: ReleaseInput,
  store: StoreWriter,
  {target, order, rule, level, previous}: GenerationInput,
) {
  const {offset} = store;
  const sizes: number[] = [];
  const groups = groupsOf(target, order, rule);
  await inOrder(
    groups,
    async ({first, count}) => {
      signal.throwIfAborted();
      const blocks = order.subarray(first, first + count);
      const ready = await previous?.frame(groupName(target.leaves, blocks));
      return ready ?? compress(await readBlocks(source, blocks), level);
    },
    async (frame, index) => {
      sizes.push(frame.length);
      await store.append(frame);
      if (index % 64 === 0) onProgress?.((0.9 * index) / groups.length, 'blocks');
    },
  );
  return {offset, rule, table: await writeTable(store, writeSizes(sizes))};
}

async function patchOf(
  {signal}: PayloadInput,
  {source}: ReleaseInput,
  target: TargetBlocks,
  store: StoreWriter,
  order: Uint32Array | undefined,
  previous: PreviousPayload | undefined,
): Promise<IndexHead['patch']> {
  if (previous === undefined || order === undefined) return undefined;
  const leaves = await writeTable(store, writeLeafDelta(target.leaves, previous.leaves));
  const {offset} = store;
  const groups = groupsOf(target, order, newRule);
  const disappeared = disappearedBlocks(previous.leaves, target);
  const frames = await writePatch(store, {source, order, groups, previous, disappeared, signal});
  return {from: previous.rootHash, leaves, offset, table: await writeTable(store, writePatchTable(frames))};
}

async function writeTable(store: StoreWriter, bytes: Uint8Array) {
  return {...(await store.append(bytes)), sha256: sha256(bytes)};
}
