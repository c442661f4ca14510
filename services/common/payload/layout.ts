/** Sizes that publisher and host must agree on; all but the block size are in the index, so that they can change. */

/** Bytes of a block: of dm-verity's data blocks, of the plan and of the store. */
export const blockBytes = 4096;

/**
 * Bytes of a leaf that travel and are compared. A truncated leaf finds blocks and catches damage; it proves nothing:
 * the signed root hash does, over whole leaves computed from what was written. 96 bits are far from any accident, and
 * a pair made to collide (2^48 work by whoever makes a package) only leads to an update that is refused.
 */
export const leafBytes = 12;

/** How sequences of blocks are cut, by the first four bytes of a leaf: `mask` zero ends a piece. */
export interface CutRule {
  readonly min: number;
  readonly mask: number;
  readonly max: number;
}

/** Runs of leaves in the index. At most 255, since a length is one byte. */
export const runCut: CutRule = {min: 16, mask: 63, max: 255};

/** SHA-256 of `bytes`, all 32 bytes: pure code is handed it. */
export type Digest = (bytes: Uint8Array) => Uint8Array;

/** A range of bytes in the store. */
export interface Extent {
  readonly offset: number;
  readonly size: number;
}
