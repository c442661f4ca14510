/** A dm-verity hash partition, built level by level as cryptsetup's "Verity On-Disk Format" describes it. */
import {createHash} from 'node:crypto';

const BLOCK = 4096;

export function buildTree(
  data: Uint8Array,
  salt = Buffer.from('salt of the test'),
): {tree: Buffer; rootHash: string} {
  const hash = (block: Uint8Array) => createHash('sha256').update(salt).update(block).digest();
  const blocksOf = (bytes: Uint8Array) =>
    Array.from({length: bytes.length / BLOCK}, (_, i) => bytes.subarray(i * BLOCK, (i + 1) * BLOCK));
  const levels: Buffer[] = [];
  let below = Buffer.from(data);
  while (below.length > BLOCK) {
    const hashes = Buffer.concat(blocksOf(below).map(hash));
    below = Buffer.concat([hashes, Buffer.alloc((BLOCK - (hashes.length % BLOCK)) % BLOCK)]);
    levels.unshift(below);
  }
  const superblock = Buffer.alloc(BLOCK);
  superblock.write('verity');
  superblock.writeUInt32LE(1, 8);
  superblock.writeUInt32LE(1, 12);
  superblock.write('sha256', 32);
  superblock.writeUInt32LE(BLOCK, 64);
  superblock.writeUInt32LE(BLOCK, 68);
  superblock.writeBigUInt64LE(BigInt(data.length / BLOCK), 72);
  superblock.writeUInt16LE(salt.length, 80);
  salt.copy(superblock, 88);
  return {tree: Buffer.concat([superblock, ...levels]), rootHash: hash(below).toString('hex')};
}
