/** Finds content in the /usr that is published, by the leaves of its blocks. */
import {createHash} from 'node:crypto';
import {blockBytes, leafBytes} from '../../common/payload/layout.ts';
import {createLeafMap} from '../../common/payload/leaf-map.ts';
import type {ReleaseInput} from './release-input.ts';

export interface BlockFinder {
  /** The block of /usr with this content (4096 bytes), or -1. */
  find(block: Uint8Array): number;
  /** Whether block `index` of /usr has this content. */
  has(index: number, block: Uint8Array): boolean;
  /** The first bytes of block `index`. */
  start(index: number, length: number): Promise<Uint8Array>;
}

export function createBlockFinder({leaves, salt, source}: ReleaseInput): BlockFinder {
  const count = leaves.length / leafBytes;
  const map = createLeafMap(leaves, count);
  for (let index = 0; index < count; index += 1) map.add(index);
  const leafOf = (block: Uint8Array) => createHash('sha256').update(salt).update(block).digest();
  return {
    find: block => map.find(leafOf(block), 0),
    has: (index, block) =>
      index < count &&
      leafOf(block)
        .subarray(0, leafBytes)
        .equals(leaves.subarray(index * leafBytes, (index + 1) * leafBytes)),
    start: async (index, length) =>
      index < count ? source.read(index * blockBytes, length) : new Uint8Array(),
  };
}
