import test from 'ava';
import * as fc from 'fast-check';
import {forEachParallel} from '../../../image-build/packages/parallel.ts';

const signal = new AbortController().signal;
const tick = () => new Promise<void>(resolve => setImmediate(resolve));

test('every item is worked on once, never more than the limit at a time', async t => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat()), fc.integer({min: 1, max: 5}), async (items, limit) => {
      const seen: number[] = [];
      let running = 0;
      await forEachParallel(items, limit, signal, async item => {
        running += 1;
        t.true(running <= limit);
        await tick();
        seen.push(item);
        running -= 1;
      });
      const ascending = (a: number, b: number) => a - b;
      t.deepEqual(seen.sort(ascending), [...items].sort(ascending));
    }),
    {numRuns: 50},
  );
});

test('after a failure nothing starts, what runs is told to stop and waited for, and the first failure is thrown', async t => {
  let started = 0;
  let ended = 0;
  const failing = forEachParallel([0, 1, 2, 3, 4, 5], 3, signal, async (item, signal) => {
    started += 1;
    if (item === 1) throw new Error('first');
    await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()));
    await tick();
    ended += 1;
    throw new Error('second');
  });
  await t.throwsAsync(failing, {message: 'first'});
  t.is(started, 3);
  t.is(ended, 2);
});

test('an abort from outside ends it with its reason', async t => {
  const stop = new AbortController();
  const working = forEachParallel([1, 2, 3], 1, stop.signal, async item => {
    if (item === 1) stop.abort(new Error('enough'));
  });
  await t.throwsAsync(working, {message: 'enough'});
});
