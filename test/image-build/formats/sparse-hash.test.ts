import {mkdtemp, open, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import * as fc from 'fast-check';
import {mapExtents, sha256Sparse} from '../../../image-build/formats/sparse-hash.ts';
import {sha256File} from '../../../services/common/hash.ts';

const MIB = 1 << 20;

test('the hash is that of a plain read, wherever data and holes are', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-sparse-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  const piece = fc.record({
    at: fc.integer({min: 0, max: 15 * MIB}),
    size: fc.integer({min: 1, max: 100_000}),
    byte: fc.integer({min: 0, max: 255}),
  });
  const tail = fc.constantFrom(0, 512, 100, 3 * MIB);
  await fc.assert(
    fc.asyncProperty(fc.array(piece, {maxLength: 4}), tail, async (pieces, rest) => {
      const path = join(folder, 'disk');
      const file = await open(path, 'w');
      for (const {at, size, byte} of pieces) await file.write(Buffer.alloc(size, byte), 0, size, at);
      await file.truncate(16 * MIB + rest);
      await file.close();
      t.is(await sha256Sparse(path, undefined), await sha256File(path));
      const extents = await mapExtents(path, undefined);
      t.is(
        extents.reduce((sum, one) => sum + one.length, 0),
        16 * MIB + rest,
      );
    }),
    {numRuns: 15},
  );
});

test('an abort ends it', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-sparse-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  const file = await open(join(folder, 'disk'), 'w');
  await file.truncate(64 * MIB);
  await file.close();
  await t.throwsAsync(sha256Sparse(join(folder, 'disk'), AbortSignal.abort()));
});
