import test from 'ava';
import * as fc from 'fast-check';
import {differingInputs, inputsDigest} from '../../../image-build/inputs.ts';

const name = fc.stringMatching(/^[a-z/]{1,8}$/);
const inputs = fc.dictionary(
  name,
  fc.stringMatching(/^[0-9a-f]{4}$/).map(hex => hex.repeat(16)),
  {noNullPrototype: true},
);

test('the digest is the same exactly when no input differs, in whatever order they come', t => {
  fc.assert(
    fc.property(inputs, inputs, (a, b) => {
      t.is(inputsDigest(a) === inputsDigest(b), differingInputs(a, b).length === 0);
      t.is(inputsDigest(Object.fromEntries(Object.entries(a).toReversed())), inputsDigest(a));
    }),
  );
});

test('inputs that differ are named, and so are those that only one side has', t => {
  t.deepEqual(differingInputs({recipe: 'a', lock: 'b', old: 'c'}, {recipe: 'a', lock: 'x', fresh: 'd'}), [
    'fresh',
    'lock',
    'old',
  ]);
});
