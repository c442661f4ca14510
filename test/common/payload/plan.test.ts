import test from 'ava';
import * as fc from 'fast-check';
import {createHash} from 'node:crypto';
import {cutLengths} from '../../../services/common/payload/cut.ts';
import {leafBytes} from '../../../services/common/payload/layout.ts';
import {applyLeafDelta, writeLeafDelta} from '../../../services/common/payload/leaf-delta.ts';
import {
  describeTarget,
  disappearedBlocks,
  groupsOf,
  missingBlock,
  newBlocks,
  planBlocks,
  storeOrder,
  wantedGroups,
  zeroBlock,
} from '../../../services/common/payload/plan.ts';
import {planRuns, runsOf} from '../../../services/common/payload/runs.ts';

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
const leafOf = (content: number) => digest(Uint8Array.of(content, content >> 8)).subarray(0, leafBytes);
/** Leaves of blocks with these contents; content 0 is zeros. */
const leavesOf = (contents: readonly number[]) => new Uint8Array(Buffer.concat(contents.map(leafOf)));
const zeroLeaf = leafOf(0);

/** Few contents, so that lists share blocks and repeat them; long enough for several runs. */
const contents = fc.array(fc.nat(400), {minLength: 1, maxLength: 600});
const rule = {min: 3, mask: 7, max: 20};

test('a plan covers every block once, and never calls missing what is there', t => {
  fc.assert(
    fc.property(contents, contents, (wanted, own) => {
      const {source, missing} = planBlocks(describeTarget(leavesOf(wanted), zeroLeaf), leavesOf(own));
      t.is(source.length, wanted.length);
      const has = new Set(own);
      for (const [block, content] of wanted.entries()) {
        const from = source[block] ?? Number.NaN;
        if (content === 0) t.is(from, zeroBlock);
        else if (has.has(content)) t.is(own[from], content);
        else t.is(from, missingBlock);
      }
      t.is(missing, wanted.filter(content => content !== 0 && !has.has(content)).length);
    }),
  );
});

test('equal blocks hang together, whatever their number', t => {
  fc.assert(
    fc.property(contents, wanted => {
      const target = describeTarget(leavesOf(wanted), zeroLeaf);
      for (const block of wanted.keys()) {
        const first = target.first[block] ?? -1;
        t.is(first, wanted.indexOf(wanted[block] ?? -1));
        if (first !== block) continue;
        const chain: number[] = [];
        for (let one = block; one !== -1; one = target.next[one] ?? -1) chain.push(one);
        t.deepEqual(
          chain,
          [...wanted.keys()].filter(one => wanted[one] === wanted[block]),
        );
      }
    }),
  );
});

test('the store has every block that is not zeros once, and groups cut it without a gap', t => {
  fc.assert(
    fc.property(contents, fc.array(fc.nat(2)), (wanted, generations) => {
      const target = describeTarget(leavesOf(wanted), zeroLeaf);
      const generationOf = Uint8Array.from(wanted, (_, index) => generations[index] ?? 2);
      const orders = storeOrder(target, generationOf, 3);
      const stored = orders.flatMap(order => [...order]).map(block => wanted[block] ?? -1);
      t.deepEqual(
        stored.toSorted((a, b) => a - b),
        [...new Set(wanted.filter(content => content !== 0))].toSorted((a, b) => a - b),
      );
      for (const order of orders) {
        const groups = groupsOf(target, order, rule);
        t.is(
          groups.reduce((at, {first, count}) => (first === at ? at + count : Number.NaN), 0),
          order.length,
        );
      }
    }),
  );
});

test('groups that are fetched hold all that is wanted, and none is without something wanted', t => {
  fc.assert(
    fc.property(contents, fc.func(fc.boolean()), (wanted, choose) => {
      const target = describeTarget(leavesOf(wanted), zeroLeaf);
      const order = storeOrder(target, new Uint8Array(wanted.length), 1)[0] ?? new Uint32Array();
      const groups = groupsOf(target, order, rule);
      const isWanted = (block: number) => choose(block);
      const chosen = new Set(wantedGroups(order, groups, isWanted));
      for (const [index, {first, count}] of groups.entries())
        t.is(chosen.has(index), [...order.subarray(first, first + count)].some(isWanted));
    }),
  );
});

test('leaves come out of known runs and fetched ones, and a run that is known is not fetched', t => {
  fc.assert(
    fc.property(contents, contents, (wanted, extra) => {
      const own = [...wanted.slice(0, 300), ...extra, ...wanted.slice(300)];
      const [leaves, ownLeaves] = [leavesOf(wanted), leavesOf(own)];
      const [runs, ownRuns] = [runsOf(leaves, digest), runsOf(ownLeaves, digest)];
      const {known, unknown} = planRuns(runs, ownRuns);
      const result = new Uint8Array(leaves.length);
      let at = 0;
      for (const [index, {length}] of runs.entries()) {
        const from = known[index] ?? -1;
        const size = length * leafBytes;
        if (from >= 0) result.set(ownLeaves.subarray(from, from + size), at);
        at += size;
      }
      for (const {offset, size, run} of unknown) {
        t.is(known[run], -1);
        result.set(leaves.subarray(offset, offset + size), offset);
      }
      t.deepEqual(result, leaves);
      t.is(known.filter(one => one === -1).length, unknown.length);
    }),
  );
});

test('cuts come back after a change: few runs differ when one block is put in', t => {
  const before = Array.from({length: 4000}, (_, index) => index + 1);
  const after = [...before.slice(0, 2000), 60_000, ...before.slice(2000)];
  const {unknown} = planRuns(runsOf(leavesOf(after), digest), runsOf(leavesOf(before), digest));
  t.true(unknown.length >= 1 && unknown.length <= 4, `${unknown.length} runs`);
});

test('pieces stay within the bounds of their rule, but the last', t => {
  fc.assert(
    fc.property(contents, wanted => {
      const lengths = cutLengths(leavesOf(wanted), wanted.length, rule);
      t.is(
        lengths.reduce((sum, length) => sum + length, 0),
        wanted.length,
      );
      t.true(lengths.slice(0, -1).every(length => length >= rule.min && length <= rule.max));
    }),
  );
});

test('a delta of leaves gives the leaves again, from its own predecessor only', t => {
  fc.assert(
    fc.property(contents, contents, (wanted, own) => {
      const [leaves, before] = [leavesOf(wanted), leavesOf(own)];
      const delta = writeLeafDelta(leaves, before);
      t.deepEqual(applyLeafDelta(delta, before, wanted.length), leaves);
      t.notDeepEqual(applyLeafDelta(writeLeafDelta(before, before), before, own.length), new Uint8Array());
    }),
  );
});

test('a delta that starts from leaves which are not there says so', t => {
  const before = leavesOf([1, 2, 3, 4]);
  t.is(applyLeafDelta(writeLeafDelta(before, before), before.subarray(0, leafBytes), 4), undefined);
});

test('new and disappeared blocks are what one has and the other has not', t => {
  fc.assert(
    fc.property(contents, contents, (wanted, own) => {
      const target = describeTarget(leavesOf(wanted), zeroLeaf);
      t.deepEqual(
        Array.from(newBlocks(target, leavesOf(own)), block => wanted[block]),
        [...new Set(wanted)].filter(content => content !== 0 && !own.includes(content)),
      );
      t.deepEqual(
        Array.from(disappearedBlocks(leavesOf(own), target), block => own[block]),
        own.filter(content => !wanted.includes(content)),
      );
    }),
  );
});
