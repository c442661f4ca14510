import test from 'ava';
import * as fc from 'fast-check';
import type {ImageManifest} from '../../../services/common/contracts/image.ts';
import {
  diffManifests,
  diffPackages,
  renderManifestDiff,
  renderPackageDiff,
  type PackageEntry,
} from '../../../image-build/contents/diff.ts';
import {
  parseFileList,
  renderSizes,
  sizesByPackage,
  unownedName,
} from '../../../image-build/contents/sizes.ts';

test('files count for the package that owns them, under either name of the merged /usr, once per inode', t => {
  const sizes = sizesByPackage(
    [
      {path: '/usr/bin/bash', size: 100},
      {path: '/usr/lib/libc.so.6', size: 500, inode: 7},
      {path: '/usr/lib/libc-2.so', size: 500, inode: 7},
      {path: '/usr/lib/modules/6/ext4.ko', size: 40},
      {path: '/usr/share/hawser/agent.js', size: 9},
      {path: '/usr/share/common', size: 1},
    ],
    new Map([
      ['zzz', ['/usr/share/common']],
      ['bash', parseFileList('/.\n/bin\n/bin/bash\n/usr/share/common\n')],
      ['libc6', ['/lib/libc.so.6', '/lib/libc-2.so']],
      ['linux-image', ['/usr/lib/modules/6/ext4.ko.xz']],
    ]),
  );
  t.deepEqual(sizes, [
    {name: 'libc6', size: 500, files: 1},
    {name: 'bash', size: 101, files: 2},
    {name: 'linux-image', size: 40, files: 1},
    {name: unownedName, size: 9, files: 1},
  ]);
});

test('the sizes add up to the tree, whatever the lists say', t => {
  const path = fc.constantFrom('/usr/a', '/usr/b', '/bin/c', '/usr/bin/c', '/usr/d.ko', '/usr/d.ko.xz');
  const tree = fc.array(fc.record({path, size: fc.nat(1000)}), {maxLength: 8});
  const lists = fc.array(fc.tuple(fc.constantFrom('p', 'q', 'r'), fc.array(path)), {maxLength: 4});
  fc.assert(
    fc.property(tree, lists, (files, pairs) => {
      const sizes = sizesByPackage(files, new Map(pairs));
      return sizes.reduce((sum, one) => sum + one.size, 0) === files.reduce((sum, one) => sum + one.size, 0);
    }),
  );
  t.pass();
});

test('a long table is cut and still says the whole', t => {
  const sizes = [3, 2, 1].map(n => ({name: `p${n}`, size: n * 1e6, files: 1}));
  t.deepEqual(renderSizes(sizes, 1), ['    3.0 MB  p3', '    3.0 MB  2 more', '    6.0 MB  in all']);
});

const entry = (name: string, version: string, size: number): PackageEntry => ({name, version, size});

test('additions, removals, upgrades, downgrades and rebuilds are told apart', t => {
  const diff = diffPackages(
    [
      entry('kept', '1', 10),
      entry('up', '1.9', 10),
      entry('down', '2', 10),
      entry('gone', '1', 3_000_000),
      entry('re', '1', 5),
    ],
    [
      entry('new', '1', 2000),
      entry('re', '1', 6),
      entry('up', '1.10', 20),
      entry('down', '2~rc1', 9),
      entry('kept', '1', 10),
    ],
  );
  t.deepEqual(renderPackageDiff(diff), [
    '+ new 1 (+2.0 kB)',
    '- gone 1 (-3.0 MB)',
    'v down 2 -> 2~rc1 (-0.0 kB)',
    '= re 1 (+0.0 kB)',
    '^ up 1.9 -> 1.10 (+0.0 kB)',
    '1 added, 1 removed, 3 changed, -3.0 MB in all',
  ]);
});

test('a set compared with itself is the same, and turning the comparison round swaps its lists', t => {
  const set = fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd'),
      version: fc.constantFrom('1', '2~', '1:0'),
      size: fc.nat(50),
    }),
    {selector: one => one.name},
  );
  fc.assert(
    fc.property(set, set, (a, b) => {
      t.deepEqual(renderPackageDiff(diffPackages(a, a)), ['the packages are the same']);
      const [there, back] = [diffPackages(a, b), diffPackages(b, a)];
      t.deepEqual(there.added, back.removed);
      t.is(there.changed.length, back.changed.length);
      t.is(there.growth + back.growth, 0);
    }),
  );
});

const manifest: ImageManifest = {
  schema: 1,
  name: 'hawser',
  version: '1.0.0',
  architecture: 'x86_64',
  locked: true,
  signed: false,
  rootHash: 'a'.repeat(64),
  kernel: '6.12',
  lockSha256: 'b'.repeat(64),
  inputs: 'f'.repeat(64),
  artefacts: {
    disk: {file: 'disk.raw', size: 5_000_000, sha256: 'c'.repeat(64)},
    uki: {file: 'u.efi', size: 1_000_000, sha256: 'd'.repeat(64)},
  },
};

test('two manifests differ in what their fields and artefacts say', t => {
  t.deepEqual(renderManifestDiff(diffManifests(manifest, manifest)), ['the images are the same']);
  const next: ImageManifest = {
    ...manifest,
    version: '1.1.0',
    signed: true,
    artefacts: {
      disk: {file: 'disk.raw', size: 5_500_000, sha256: 'e'.repeat(64)},
      qcow2: {file: 'disk.qcow2', size: 200_000, sha256: 'f'.repeat(64)},
    },
  };
  t.deepEqual(renderManifestDiff(diffManifests(manifest, next)), [
    'version: 1.0.0 -> 1.1.0',
    'signed: false -> true',
    'disk: 5.0 MB -> 5.5 MB (+0.5 MB)',
    'qcow2: added, 0.2 MB',
    'uki: removed, was 1.0 MB',
  ]);
});
