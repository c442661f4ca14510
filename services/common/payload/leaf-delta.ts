/**
 * The leaves of a release told to a machine that runs its predecessor: stretches of the leaves that it has, and the
 * leaves that are new. A few kilobytes where the index of runs and the unknown runs would be hundreds.
 */
import {createReader, createWriter} from './bytes.ts';
import {PayloadError} from './errors.ts';
import {leafBytes} from './layout.ts';
import {createLeafMap, equalLeaf} from './leaf-map.ts';

/** How to make `leaves` of `own`. */
export function writeLeafDelta(leaves: Uint8Array, own: Uint8Array): Uint8Array {
  const [count, ownCount] = [leaves.length / leafBytes, own.length / leafBytes];
  const map = createLeafMap(own, ownCount);
  for (let index = 0; index < ownCount; index += 1) map.add(index);
  const out = createWriter();
  const same = (block: number, index: number) =>
    block < count && index < ownCount && equalLeaf(leaves, block * leafBytes, own, index * leafBytes);
  let expected = 0;
  for (let block = 0; block < count;) {
    // Going on where the last stretch ended, plus the new blocks since, costs the least; so it is tried first.
    const from = same(block, expected) ? expected : map.find(leaves, block * leafBytes);
    let length = 0;
    if (from !== -1) {
      while (same(block + length, from + length)) length += 1;
      out.number(length * 2 + 1);
      out.number(zigzag(from - expected));
      expected = from + length;
    } else {
      while (block + length < count && map.find(leaves, (block + length) * leafBytes) === -1) length += 1;
      out.number(length * 2);
      out.bytes(leaves.subarray(block * leafBytes, (block + length) * leafBytes));
      expected += length;
    }
    block += length;
  }
  return out.take();
}

/** The `count` leaves of the release, or undefined where `own` is not what the delta starts from. */
export function applyLeafDelta(delta: Uint8Array, own: Uint8Array, count: number): Uint8Array | undefined {
  const reader = createReader(delta, 'leaves');
  const leaves = new Uint8Array(count * leafBytes);
  let [block, expected] = [0, 0];
  while (!reader.ended) {
    const tag = reader.number();
    const length = Math.floor(tag / 2);
    if (length === 0 || block + length > count) {
      throw new PayloadError('payload-damaged', 'the delta of leaves does not fit the release', {
        context: {layer: 'leaves'},
      });
    }
    if (tag % 2 === 1) {
      const from = expected + unzigzag(reader.number());
      if (from < 0 || (from + length) * leafBytes > own.length) return undefined;
      leaves.set(own.subarray(from * leafBytes, (from + length) * leafBytes), block * leafBytes);
      expected = from + length;
    } else {
      leaves.set(reader.bytes(length * leafBytes), block * leafBytes);
      expected += length;
    }
    block += length;
  }
  return block === count ? leaves : undefined;
}

function zigzag(value: number): number {
  return value < 0 ? -value * 2 - 1 : value * 2;
}

function unzigzag(value: number): number {
  return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
}
