/** Content-defined cuts: a block more or less moves no cut but those beside it. */
import {leafBytes, type CutRule} from './layout.ts';

/**
 * Lengths of the pieces into which a sequence of `count` leaves is cut. `leafAt(i)` gives the offset in `leaves` of the
 * sequence's i-th leaf; without it the leaves follow each other.
 */
export function cutLengths(
  leaves: Uint8Array,
  count: number,
  rule: CutRule,
  leafAt: (index: number) => number = index => index * leafBytes,
): number[] {
  const lengths: number[] = [];
  let length = 0;
  for (let index = 0; index < count; index += 1) {
    length += 1;
    const at = leafAt(index);
    const ends = length >= rule.min && (word(leaves, at) & rule.mask) === 0;
    if (!ends && length < rule.max) continue;
    lengths.push(length);
    length = 0;
  }
  if (length > 0) lengths.push(length);
  return lengths;
}

/** The first 32 bits of a leaf, as they are cut and hashed by. */
export function word(leaves: Uint8Array, at: number): number {
  return (
    ((leaves[at] ?? 0) |
      ((leaves[at + 1] ?? 0) << 8) |
      ((leaves[at + 2] ?? 0) << 16) |
      ((leaves[at + 3] ?? 0) << 24)) >>>
    0
  );
}
