/** Hashes of blocks as dm-verity computes them: the salt, then the block. */
import {createHash} from 'node:crypto';
import {blockBytes, leafBytes} from '../../common/payload/layout.ts';

export interface LeafHash {
  whole(block: Uint8Array): Buffer;
  /** Whether the block has the truncated leaf at offset `at` of `leaves`. */
  fits(block: Uint8Array, leaves: Uint8Array, at: number): boolean;
  readonly zeroLeaf: Uint8Array;
}

export function createLeafHash(salt: Uint8Array): LeafHash {
  const whole = (block: Uint8Array) => createHash('sha256').update(salt).update(block).digest();
  return {
    whole,
    fits: (block, leaves, at) => whole(block).compare(leaves, at, at + leafBytes, 0, leafBytes) === 0,
    zeroLeaf: new Uint8Array(whole(new Uint8Array(blockBytes)).subarray(0, leafBytes)),
  };
}
