/**
 * Makes a dm-verity hash partition from the hashes of its data blocks, byte for byte as `veritysetup format` does
 * (cryptsetup, "Verity On-Disk Format"; hash type 1, SHA-256, blocks of 4096 bytes).
 */
import {createHash} from 'node:crypto';
import {guidToBytesInOrder} from './guid.ts';

const BLOCK = 4096;
const DIGEST = 32;
const PER_BLOCK = BLOCK / DIGEST;

export interface VerityTree {
  /** Superblock and all levels. */
  readonly bytes: Uint8Array;
  /** Lower-case hex. */
  readonly rootHash: string;
}

export interface VerityInput {
  /** 32 bytes for each data block. */
  readonly leaves: Uint8Array;
  readonly salt: Uint8Array;
  /** Text of the superblock's UUID. */
  readonly uuid: string;
}

export function buildVerityTree({leaves, salt, uuid}: VerityInput): VerityTree {
  const counts: number[] = [];
  for (let blocks = leaves.length / DIGEST; blocks > 1;) {
    blocks = Math.ceil(blocks / PER_BLOCK);
    counts.push(blocks);
  }
  const total = counts.reduce((sum, count) => sum + count, 1);
  const bytes = new Uint8Array(total * BLOCK);
  bytes.set(superblock(leaves.length / DIGEST, salt, uuid));
  let below = leaves;
  let end = total;
  for (const count of counts) {
    // Levels lie from the top down, so the lowest one ends the partition.
    end -= count;
    const level = bytes.subarray(end * BLOCK, (end + count) * BLOCK);
    level.set(below);
    below = hashBlocks(level, salt);
  }
  // The hash of the top block is what remains; a single data block is its own top.
  return {bytes, rootHash: Buffer.from(below.buffer, below.byteOffset, DIGEST).toString('hex')};
}

function hashBlocks(blocks: Uint8Array, salt: Uint8Array): Uint8Array {
  const hashes = new Uint8Array((blocks.length / BLOCK) * DIGEST);
  for (let at = 0, out = 0; at < blocks.length; at += BLOCK, out += DIGEST) {
    hashes.set(
      createHash('sha256')
        .update(salt)
        .update(blocks.subarray(at, at + BLOCK))
        .digest(),
      out,
    );
  }
  return hashes;
}

function superblock(dataBlocks: number, salt: Uint8Array, uuid: string): Uint8Array {
  const bytes = new Uint8Array(512);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode('verity'));
  view.setUint32(8, 1, true); // version
  view.setUint32(12, 1, true); // hash type
  bytes.set(guidToBytesInOrder(uuid), 16);
  bytes.set(new TextEncoder().encode('sha256'), 32);
  view.setUint32(64, BLOCK, true);
  view.setUint32(68, BLOCK, true);
  view.setBigUint64(72, BigInt(dataBlocks), true);
  view.setUint16(80, salt.length, true);
  bytes.set(salt, 88);
  return bytes;
}
