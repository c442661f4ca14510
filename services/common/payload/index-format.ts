/**
 * The payload's index: the one file that the signed manifest names and hashes, and from which everything else follows.
 * Eight bytes of magic, the length of a JSON head (u32, little-endian), the head, then the pieces of the boot files;
 * what not every update needs is a table in the store, by its hash. README.md has the format in full.
 */
import {Type, type Static} from 'typebox';
import {Hex64, RepositoryFile} from '../contracts/release.ts';
import {parseJson} from '../parse.ts';
import {createReader, createWriter} from './bytes.ts';
import {PayloadError} from './errors.ts';
import {BootFile, readPieces, writePieces, type BootPiece} from './piece-table.ts';
import {runHashBytes, type Run} from './runs.ts';

const magic = 'HWPAYLD1';

const Range = Type.Object({offset: Type.Integer({minimum: 0}), size: Type.Integer({minimum: 0})});
const Table = Type.Object({...Range.properties, sha256: Hex64});
const Rule = Type.Object({
  min: Type.Integer({minimum: 1, maximum: 4096}),
  mask: Type.Integer({minimum: 0, maximum: 65_535}),
  max: Type.Integer({minimum: 1, maximum: 4096}),
});

export const IndexHead = Type.Object({
  schema: Type.Literal(1),
  rootHash: Hex64,
  /** Blocks of 4096 bytes. */
  blocks: Type.Integer({minimum: 1, maximum: 2 ** 24}),
  /** Where everything but the index is: ranges below are ranges of this file. */
  store: RepositoryFile,
  /** Truncated leaves of all blocks, and the runs into which they are cut. */
  leaves: Range,
  runs: Table,
  /** Which generation brought which blocks. */
  spans: Table,
  generations: Type.Array(
    Type.Object({
      /** Of its frames, which follow each other. */
      offset: Type.Integer({minimum: 0}),
      /** Sizes of the frames. */
      table: Table,
      rule: Rule,
    }),
    {minItems: 1, maxItems: 64},
  ),
  patch: Type.Optional(
    Type.Object({
      /** Root hash of the release that it starts from. */
      from: Hex64,
      /** Leaves of this release out of those of that one (leaf-delta.ts). */
      leaves: Table,
      /** Of its frames, which follow each other. */
      offset: Type.Integer({minimum: 0}),
      table: Table,
    }),
  ),
  uki: BootFile,
  bootLoader: BootFile,
});
export type IndexHead = Static<typeof IndexHead>;

/** Consecutive blocks that one release brought. */
export interface GenerationSpan {
  readonly count: number;
  readonly generation: number;
}

export interface PayloadIndex {
  readonly head: IndexHead;
  readonly uki: readonly BootPiece[];
  readonly bootLoader: readonly BootPiece[];
}

export function writeIndex({head, uki, bootLoader}: PayloadIndex): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(head));
  const start = new Uint8Array(12);
  start.set(new TextEncoder().encode(magic));
  new DataView(start.buffer).setUint32(8, json.length, true);
  const out = createWriter();
  out.bytes(start);
  out.bytes(json);
  writePieces(out, uki);
  writePieces(out, bootLoader);
  return out.take();
}

/** Throws {@link PayloadError} `payload-damaged`, or `payload-too-new` for a format that is not known here. */
export function readIndex(bytes: Uint8Array): PayloadIndex {
  const text = new TextDecoder();
  if (text.decode(bytes.subarray(0, 7)) !== magic.slice(0, 7)) damaged('is no payload index');
  if (text.decode(bytes.subarray(0, 8)) !== magic) {
    throw new PayloadError('payload-too-new', 'the payload is of a format that this version does not know', {
      remedy: 'pass through an earlier release first',
    });
  }
  if (bytes.length < 12) damaged('is cut off');
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true);
  if (12 + length > bytes.length) damaged('is cut off');
  const head = parseHead(text.decode(bytes.subarray(12, 12 + length)));
  const reader = createReader(bytes.subarray(12 + length), 'index');
  const uki = readPieces(reader, head.uki.pieces);
  const bootLoader = readPieces(reader, head.bootLoader.pieces);
  if (sum(uki.map(piece => piece.size)) !== head.uki.size) damaged('has pieces that do not make up the UKI');
  if (sum(bootLoader.map(piece => piece.size)) !== head.bootLoader.size)
    damaged('has pieces that do not make up the boot loader');
  if (!reader.ended) damaged('has bytes behind its end');
  return {head, uki, bootLoader};
}

function parseHead(text: string): IndexHead {
  try {
    return parseJson(IndexHead, text, 'payload index');
  } catch (error) {
    throw new PayloadError('payload-damaged', "the payload's index has a head that does not fit", {
      cause: error,
      context: {layer: 'index'},
    });
  }
}

/** Lengths of all runs, a byte each, then their hashes. */
export function writeRuns(runs: readonly Run[]): Uint8Array {
  const out = createWriter();
  for (const {length} of runs) out.bytes(Uint8Array.of(length));
  for (const {hash} of runs) out.bytes(hash);
  return out.take();
}

/** Throws {@link PayloadError} where the runs do not make up `blocks`. */
export function readRuns(bytes: Uint8Array, blocks: number): Run[] {
  const count = bytes.length / (1 + runHashBytes);
  const runs = Array.from(bytes.subarray(0, count), (length, index) => ({
    length,
    hash: bytes.subarray(count + index * runHashBytes, count + (index + 1) * runHashBytes),
  }));
  if (!Number.isInteger(count) || sum(runs.map(run => run.length)) !== blocks)
    damaged('has runs that do not make up its blocks');
  return runs;
}

export function writeSpans(spans: readonly GenerationSpan[]): Uint8Array {
  const out = createWriter();
  for (const {count, generation} of spans) {
    out.number(count);
    out.number(generation);
  }
  return out.take();
}

/** The generation of each block. Throws {@link PayloadError} where the spans do not make up `blocks`. */
export function readSpans(bytes: Uint8Array, blocks: number, generations: number): Uint8Array {
  const reader = createReader(bytes, 'table');
  const generationOf = new Uint8Array(blocks);
  let at = 0;
  while (!reader.ended) {
    const [count, generation] = [reader.number(), reader.number()];
    if (generation >= generations || at + count > blocks) damaged('has spans that do not fit');
    generationOf.fill(generation, at, at + count);
    at += count;
  }
  if (at !== blocks) damaged('has spans that do not make up its blocks');
  return generationOf;
}

/** The spans of generations, from the generation of each block. */
export function spansOf(generations: Uint8Array): GenerationSpan[] {
  const spans: {count: number; generation: number}[] = [];
  for (const generation of generations) {
    const last = spans.at(-1);
    if (last?.generation === generation) last.count += 1;
    else spans.push({count: 1, generation});
  }
  return spans;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

function damaged(why: string): never {
  throw new PayloadError('payload-damaged', `the payload's index ${why}`, {context: {layer: 'index'}});
}
