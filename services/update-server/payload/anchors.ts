/**
 * Where in old bytes something like new bytes stands: places are sampled by content, so that they are found again at
 * any shift, and the stretch of old blocks with most of them in common wins.
 */
import {blockBytes} from '../../common/payload/layout.ts';

export interface AnchorTable {
  /** For each old block, how many anchors of `bytes` it holds. */
  votes(bytes: Uint8Array): Uint32Array;
}

const SAMPLE_BITS = 9;
/** An anchor that stands in more places than this says nothing about where. */
const MAX_PLACES = 8;

export function indexAnchors(old: Uint8Array): AnchorTable {
  const places = new Map<number, number[]>();
  eachAnchor(old, (key, at) => {
    const block = Math.floor(at / blockBytes);
    const known = places.get(key);
    if (known === undefined) places.set(key, [block]);
    else if (known.length <= MAX_PLACES && known.at(-1) !== block) known.push(block);
  });
  return {
    votes: bytes => {
      const votes = new Uint32Array(Math.ceil(old.length / blockBytes));
      eachAnchor(bytes, key => {
        const known = places.get(key) ?? [];
        if (known.length > MAX_PLACES) return;
        for (const block of known) votes[block] = (votes[block] ?? 0) + 1;
      });
      return votes;
    },
  };
}

function eachAnchor(bytes: Uint8Array, found: (key: number, at: number) => void): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let word = 0;
  for (let at = 0; at + 12 < bytes.length; at += 1) {
    word = (word >>> 8) | ((bytes[at] ?? 0) << 24);
    // Fibonacci hashing: the high bits depend on all four bytes.
    if (at < 3 || Math.imul(word, 0x9e3779b1) >>> (32 - SAMPLE_BITS) !== 1) continue;
    const key =
      Math.imul(view.getUint32(at + 1, true), 0x85ebca6b) ^
      Math.imul(view.getUint32(at + 5, true), 0xc2b2ae35) ^
      word;
    found(key >>> 0, at);
  }
}

/** The stretch of at most `most` blocks with the most votes, without what stands voteless at its ends. */
export function bestStretch(votes: Uint32Array, most: number): {first: number; count: number} {
  let sum = 0;
  let best = 0;
  let bestEnd = 0;
  for (let end = 1; end <= votes.length; end += 1) {
    sum += votes[end - 1] ?? 0;
    if (end > most) sum -= votes[end - most - 1] ?? 0;
    if (sum > best) [best, bestEnd] = [sum, end];
  }
  if (best === 0) return {first: 0, count: 0};
  let first = Math.max(0, bestEnd - most);
  while ((votes[first] ?? 0) === 0) first += 1;
  return {first, count: bestEnd - first};
}
