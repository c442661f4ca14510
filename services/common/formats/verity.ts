/**
 * dm-verity hash partitions with a superblock, as `veritysetup format` writes them (hash type 1): their
 * geometry, and the proof that data and tree belong to a root hash.
 */
import {createHash} from 'node:crypto';
import type {ByteSource} from './byte-source.ts';
import {FormatError} from './errors.ts';

export interface Verity {
  /** Bytes, of data and of hash blocks alike. */
  readonly blockSize: number;
  readonly dataBlocks: number;
  /** Bytes that the tree covers. */
  readonly dataSize: number;
  /** Bytes of superblock and tree. */
  readonly treeSize: number;
  readonly salt: Uint8Array;
  /** From the leaves to the top: offset in the partition, and number of hash blocks. */
  readonly levels: readonly {readonly offset: number; readonly blocks: number}[];
}

const DIGEST = 32;
const READ_BLOCKS = 256;

/** Reads the superblock at the start of a hash partition. Throws {@link FormatError} `bad-verity`. */
export async function readVerity(tree: ByteSource): Promise<Verity> {
  const bytes = await tree.read(0, 512);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (from: number, to: number) =>
    String.fromCharCode(...bytes.subarray(from, to)).replace(/\0+$/, '');
  if (text(0, 8) !== 'verity') bad('it has no superblock');
  const blockSize = view.getUint32(64, true);
  const known = view.getUint32(8, true) === 1 && view.getUint32(12, true) === 1 && text(32, 64) === 'sha256';
  if (!known || blockSize !== view.getUint32(68, true)) bad('it is of a kind that is not used here');
  if (blockSize < 512 || blockSize > 1 << 16 || !Number.isInteger(Math.log2(blockSize)))
    bad('its block size is not possible');
  const dataBlocks = Number(view.getBigUint64(72, true));
  const saltSize = view.getUint16(80, true);
  if (dataBlocks === 0 || dataBlocks > 2 ** 40 || saltSize > 256) bad('its numbers are not possible');

  // cryptsetup, "Verity On-Disk Format": the top level comes first, right after the superblock's block.
  const perBlock = blockSize / DIGEST;
  const counts: number[] = [];
  for (let blocks = dataBlocks; blocks > 1;) {
    blocks = Math.ceil(blocks / perBlock);
    counts.push(blocks);
  }
  let offset = blockSize;
  const levels = counts.toReversed().map(blocks => {
    const level = {offset, blocks};
    offset += blocks * blockSize;
    return level;
  });
  return {
    blockSize,
    dataBlocks,
    dataSize: dataBlocks * blockSize,
    treeSize: offset,
    salt: new Uint8Array(bytes.subarray(88, 88 + saltSize)),
    levels: levels.toReversed(),
  };
}

/**
 * Proves that every block of `data` and of `tree` hangs from `rootHash` (lower-case hex). Throws
 * {@link FormatError} `verity-mismatch` with the first block that does not.
 */
export async function verifyVerity(data: ByteSource, tree: ByteSource, rootHash: string): Promise<void> {
  const verity = await readVerity(tree);
  let below: {source: ByteSource; offset: number; blocks: number; what: string} = {
    source: data,
    offset: 0,
    blocks: verity.dataBlocks,
    what: 'data',
  };
  for (const [index, level] of verity.levels.entries()) {
    const hashes = await tree.read(level.offset, level.blocks * verity.blockSize);
    await compareLevel(verity, below, hashes);
    below = {source: tree, offset: level.offset, blocks: level.blocks, what: `level ${index} of the tree`};
  }
  const top = await below.source.read(below.offset, verity.blockSize);
  if (blockHash(verity, top).toString('hex') !== rootHash) {
    throw new FormatError('verity-mismatch', `the hash tree does not belong to the root hash ${rootHash}`);
  }
}

async function compareLevel(
  verity: Verity,
  below: {source: ByteSource; offset: number; blocks: number; what: string},
  hashes: Uint8Array,
): Promise<void> {
  const {blockSize} = verity;
  for (let first = 0; first < below.blocks; first += READ_BLOCKS) {
    const count = Math.min(READ_BLOCKS, below.blocks - first);
    const chunk = await below.source.read(below.offset + first * blockSize, count * blockSize);
    for (let i = 0; i < count; i += 1) {
      const expected = hashes.subarray((first + i) * DIGEST, (first + i + 1) * DIGEST);
      if (blockHash(verity, chunk.subarray(i * blockSize, (i + 1) * blockSize)).equals(expected)) continue;
      throw new FormatError(
        'verity-mismatch',
        `block ${first + i} of the ${below.what} does not fit its hash`,
        {
          context: {block: first + i},
        },
      );
    }
  }
}

// Hash type 1 puts the salt before the block.
function blockHash({salt}: Verity, block: Uint8Array): Buffer {
  return createHash('sha256').update(salt).update(block).digest();
}

function bad(why: string): never {
  throw new FormatError('bad-verity', `the hash partition cannot be used: ${why}`);
}
