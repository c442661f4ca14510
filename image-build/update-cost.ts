/** What a machine that runs one release has to fetch for another: blocks whose hash it does not know. */
import type {ByteSource} from '../services/common/formats/byte-source.ts';
import {readVerity} from '../services/common/formats/verity.ts';

export interface UpdateCost {
  /** Blocks of the new /usr. */
  readonly blocks: number;
  /** Different blocks among them that the old /usr does not hold anywhere. */
  readonly unknown: number;
  /** Bytes, uncompressed. */
  readonly bytes: number;
}

const DIGEST = 32;

/** Compares the leaves of two hash trees. They say something only when both were made with one salt. */
export async function updateCost(before: ByteSource, after: ByteSource): Promise<UpdateCost> {
  const known = new Set(await readLeaves(before));
  const leaves = await readLeaves(after);
  const unknown = new Set(leaves.filter(leaf => !known.has(leaf))).size;
  const {blockSize} = await readVerity(after);
  return {blocks: leaves.length, unknown, bytes: unknown * blockSize};
}

async function readLeaves(tree: ByteSource): Promise<string[]> {
  const {levels, dataBlocks} = await readVerity(tree);
  const [lowest] = levels;
  if (lowest === undefined) return [];
  const bytes = Buffer.from(await tree.read(lowest.offset, dataBlocks * DIGEST));
  return Array.from({length: dataBlocks}, (_, index) =>
    bytes.toString('latin1', index * DIGEST, (index + 1) * DIGEST),
  );
}
