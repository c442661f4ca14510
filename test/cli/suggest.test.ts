import test from 'ava';
import * as fc from 'fast-check';
import {editDistance, nearest} from '../../services/cli/suggest.ts';

test('a slip of the fingers finds its word', t => {
  const words = ['create', 'ls', 'start', 'stop', 'restart', 'status'];
  t.is(nearest('craete', words), 'create');
  t.is(nearest('creat', words), 'create');
  t.is(nearest('sart', words), 'start');
  t.is(nearest('statsu', words), 'status');
});

test('a word unlike all others finds none', t => {
  t.is(nearest('zebra', ['create', 'ls']), undefined);
  t.is(nearest('anything', []), undefined);
});

test('the distance is symmetric, zero only for equal words, and at most the longer length', t => {
  fc.assert(
    fc.property(fc.string({maxLength: 12}), fc.string({maxLength: 12}), (a, b) => {
      const distance = editDistance(a, b);
      t.is(distance, editDistance(b, a));
      t.is(distance === 0, a === b);
      t.true(distance <= Math.max(a.length, b.length));
    }),
  );
});
