/** The image that is published: its blocks and leaves, proven to belong together before anything is made of them. */
import {createHash} from 'node:crypto';
import type {ReleaseManifest} from '../../common/contracts/release.ts';
import type {ByteSource} from '../../common/formats/byte-source.ts';
import {guidFromBytesInOrder} from '../../common/formats/guid.ts';
import {readVerity} from '../../common/formats/verity.ts';
import {buildVerityTree} from '../../common/formats/verity-tree.ts';
import {PayloadError} from '../../common/payload/errors.ts';
import {blockBytes, leafBytes} from '../../common/payload/layout.ts';
import {truncateLeaves} from '../../common/payload/leaf-map.ts';

export interface ReleaseInput {
  readonly usr: ReleaseManifest['usr'];
  readonly salt: Uint8Array;
  readonly rootHash: string;
  /** Truncated. */
  readonly leaves: Uint8Array;
  readonly zeroLeaf: Uint8Array;
  readonly source: ByteSource;
}

const READ_BLOCKS = 256;

/** Throws {@link PayloadError} `bad-release` where data and tree do not belong together. */
export async function openRelease(
  usr: ByteSource,
  tree: ByteSource,
  signal: AbortSignal,
): Promise<ReleaseInput> {
  const verity = await readVerity(tree);
  const [lowest] = verity.levels;
  if (verity.blockSize !== blockBytes || usr.size !== verity.dataSize || lowest === undefined) {
    throw new PayloadError('bad-release', 'the hash tree is not of this /usr image', {
      remedy: 'take both from one build',
    });
  }
  const superblock = await tree.read(0, 512);
  const uuid = guidFromBytesInOrder(superblock, 16);
  const whole = await tree.read(lowest.offset, verity.dataBlocks * 32);
  const built = buildVerityTree({leaves: whole, salt: verity.salt, uuid});
  // The host makes the tree anew, so a tree that it could not make cannot be published.
  if (Buffer.compare(built.bytes, await tree.read(0, built.bytes.length)) !== 0) {
    throw new PayloadError('bad-release', 'the hash tree is not as veritysetup writes it', {
      remedy: 'make it with "veritysetup format" and blocks of 4096 bytes',
    });
  }
  const hashOf = (block: Uint8Array) => createHash('sha256').update(verity.salt).update(block).digest();
  for (let first = 0; first < verity.dataBlocks; first += READ_BLOCKS) {
    signal.throwIfAborted();
    const count = Math.min(READ_BLOCKS, verity.dataBlocks - first);
    const bytes = await usr.read(first * blockBytes, count * blockBytes);
    for (let i = 0; i < count; i += 1) {
      const leaf = whole.subarray((first + i) * 32, (first + i + 1) * 32);
      if (Buffer.compare(hashOf(bytes.subarray(i * blockBytes, (i + 1) * blockBytes)), leaf) === 0) continue;
      throw new PayloadError('bad-release', `block ${first + i} of /usr does not fit its hash tree`);
    }
  }
  return {
    usr: {size: usr.size, salt: Buffer.from(verity.salt).toString('hex'), uuid},
    salt: verity.salt,
    rootHash: built.rootHash,
    leaves: truncateLeaves(whole),
    zeroLeaf: new Uint8Array(hashOf(new Uint8Array(blockBytes)).subarray(0, leafBytes)),
    source: usr,
  };
}

/** The blocks of an image at these places, one after the other. */
export async function readBlocks(source: ByteSource, blocks: Uint32Array): Promise<Uint8Array> {
  const bytes = new Uint8Array(blocks.length * blockBytes);
  for (let i = 0; i < blocks.length;) {
    const first = blocks[i] ?? 0;
    let count = 1;
    while (blocks[i + count] === first + count) count += 1;
    bytes.set(await source.read(first * blockBytes, count * blockBytes), i * blockBytes);
    i += count;
  }
  return bytes;
}
