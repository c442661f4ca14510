import {link, mkdir, mkdtemp, rm, symlink, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import * as fc from 'fast-check';
import {measureUsage} from '../../../image-build/disk-usage.ts';
import {chooseOld, prunableImages} from '../../../image-build/prune.ts';

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hawser-prune-'));
  t.teardown(() => rm(path, {recursive: true, force: true}));
  return path;
}

test('of each kind the entries used last stay, whatever the others are', t => {
  const kind = fc.constantFrom('base', 'initrd', 'image', 'tools');
  const entry = fc.record({kind, hash: fc.stringMatching(/^[0-9a-f]{16}$/), used: fc.integer()});
  const unique = fc.uniqueArray(entry, {selector: one => `${one.kind}-${one.hash}`});
  fc.assert(
    fc.property(unique, fc.integer({min: 0, max: 4}), (entries, keep) => {
      const all = entries.map(one => ({name: `${one.kind}-${one.hash}`, used: one.used}));
      const old = new Set(chooseOld(all, keep));
      for (const wanted of ['base', 'initrd', 'image', 'tools']) {
        const same = all.filter(one => one.name.startsWith(`${wanted}-`));
        const stay = same.filter(one => !old.has(one.name));
        t.is(stay.length, Math.min(keep, same.length));
        for (const gone of same.filter(one => old.has(one.name)))
          t.true(stay.every(one => one.used >= gone.used));
      }
    }),
  );
});

test('the current image is never chosen, also not when it is the only one', async t => {
  const images = await folder(t);
  for (const name of ['0.1.0-a', '0.1.0-b', '.build-1-x']) await mkdir(join(images, name));
  await symlink('0.1.0-b', join(images, 'current'));
  t.deepEqual(await prunableImages(images), [join(images, '0.1.0-a')]);
  t.deepEqual(await prunableImages(join(images, 'absent')), []);
});

test('removing frees only what has no name elsewhere: a machine keeps its disk by a hard link', async t => {
  const root = await folder(t);
  const image = join(root, 'image');
  await mkdir(image);
  await writeFile(join(image, 'mine'), Buffer.alloc(1 << 16, 1));
  await writeFile(join(image, 'shared'), Buffer.alloc(1 << 18, 1));
  await link(join(image, 'shared'), join(root, 'disk of a machine'));
  await link(join(image, 'mine'), join(image, 'another name'));
  await truncate(join(image, 'mine'), 1 << 30);
  const {bytes, freed} = await measureUsage([image]);
  t.true(bytes >= (1 << 18) + (1 << 16) && bytes < 1 << 20, 'holes count nothing, two names count once');
  t.true(freed >= 1 << 16 && freed <= bytes - (1 << 18));
  t.deepEqual(await measureUsage([join(root, 'absent')]), {bytes: 0, freed: 0});
});
