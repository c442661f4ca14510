import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import * as fc from 'fast-check';
import {Budget, checkBudget, findExcess} from '../../../image-build/budget.ts';
import {ImageError} from '../../../image-build/errors.ts';
import {parseJson} from '../../../services/common/parse.ts';

const budget: Budget = {
  schema: 1,
  qcow2Bytes: 300,
  compressedBytes: 200,
  usrBytes: 900,
  usrShareOfSlot: 0.6,
  ukiBytes: 30,
  initrdBytes: 20,
};

test('the committed budget can be read, and leaves /usr at most 60 % of its slot', async t => {
  const path = join(import.meta.dirname, '../../../image-build/budget.json');
  const committed = parseJson(Budget, await readFile(path, 'utf8'), path);
  t.true(committed.usrShareOfSlot <= 0.6);
});

test('an image within its budget passes; what was not made is not checked', t => {
  t.notThrows(() => checkBudget(budget, {qcow2: 300, compressed: 200, usr: 900, uki: 30, initrd: 20}));
  t.notThrows(() => checkBudget(budget, {usr: 900, uki: 30, initrd: 20}));
});

test('an error names every budget that is exceeded, and by how much', t => {
  const error = t.throws(() => checkBudget(budget, {qcow2: 301, usr: 1000, uki: 30, initrd: 20}), {
    instanceOf: ImageError,
  });
  t.is(error.code, 'over-budget');
  t.is(
    error.message,
    'the image is over its budget: qcow2Bytes by 1 bytes (301 of 300), usrBytes by 100 bytes (1000 of 900)',
  );
  t.regex(error.remedy ?? '', /--no-budget/);
});

test('the share of the slot is a limit of its own', t => {
  const excess = findExcess(
    {...budget, usrBytes: 2 ** 40},
    {usr: Math.floor(0.6 * 2 ** 31) + 1, uki: 1, initrd: 1},
  );
  t.deepEqual(
    excess.map(one => one.budget),
    ['usrShareOfSlot'],
  );
});

test('exactly what is larger than its limit is an excess', t => {
  const size = fc.integer({min: 0, max: 2000});
  fc.assert(
    fc.property(size, size, size, (usr, uki, initrd) => {
      const names = findExcess(budget, {usr, uki, initrd}).map(one => one.budget);
      t.is(names.includes('usrBytes'), usr > 900);
      t.is(names.includes('ukiBytes'), uki > 30);
      t.is(names.includes('initrdBytes'), initrd > 20);
    }),
  );
});
