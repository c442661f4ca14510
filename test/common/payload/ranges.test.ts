import test from 'ava';
import * as fc from 'fast-check';
import {coalesce} from '../../../services/common/payload/ranges.ts';
import {createBucket, take} from '../../../services/common/payload/token-bucket.ts';

const pieces = fc
  .array(fc.record({skip: fc.nat(300), size: fc.integer({min: 1, max: 200})}), {maxLength: 40})
  .map(list => {
    let at = 0;
    return list.map(({skip, size}) => {
      const piece = {offset: at + skip, size};
      at = piece.offset + size;
      return piece;
    });
  });

test('spans hold every piece once, no gap above the allowed one, and nothing at their ends', t => {
  fc.assert(
    fc.property(pieces, fc.nat(200), (list, gap) => {
      const spans = coalesce(list.toReversed(), gap);
      t.deepEqual(
        spans.flatMap(span => [...span.pieces]),
        list,
      );
      for (const span of spans) {
        t.is(span.pieces[0]?.offset, span.offset);
        const last = span.pieces.at(-1);
        t.is((last?.offset ?? 0) + (last?.size ?? 0), span.offset + span.size);
        for (const [index, piece] of span.pieces.slice(1).entries()) {
          const before = span.pieces[index];
          t.true(piece.offset - (before?.offset ?? 0) - (before?.size ?? 0) <= gap);
        }
      }
    }),
  );
});

test('a bucket never lets more through than its rate and one burst', t => {
  const step = fc.record({bytes: fc.integer({min: 1, max: 100_000}), pause: fc.nat(2000)});
  fc.assert(
    fc.property(fc.integer({min: 1024, max: 10_000_000}), fc.array(step, {maxLength: 50}), (rate, steps) => {
      let bucket = createBucket(rate, 0);
      let now = 0;
      let sent = 0;
      for (const {bytes, pause} of steps) {
        now += pause;
        const taken = take(bucket, bytes, now);
        bucket = taken.bucket;
        sent += bytes;
        now += taken.waitMs;
        t.true(sent <= (rate * (now + 1)) / 1000 + bucket.burst + 1);
      }
    }),
  );
});

test('a clock that is set back neither earns nor costs', t => {
  const {bucket} = take(createBucket(10_000, 5000), 16_384, 5000);
  const {waitMs} = take(bucket, 1000, 1000);
  t.is(waitMs, 100);
});
