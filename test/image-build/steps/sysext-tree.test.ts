import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {ImageError} from '../../../image-build/errors.ts';
import type {LockedPackage} from '../../../image-build/packages/lock.ts';
import {packagesBeyond} from '../../../image-build/packages/resolve.ts';
import {buildSysextTree, checkClashes, extensionRelease} from '../../../image-build/steps/sysext-tree.ts';
import {walk} from '../../../image-build/steps/walk.ts';
import {prepareBench, type Contents} from './sysext-support.ts';

const probe = {
  'usr/bin/probe': '#!/bin/sh\n',
  'usr/lib/systemd/system/probe.service': '[Service]\nExecStart=/usr/bin/probe\n',
  'usr/share/doc/probe/copyright': 'MIT\n',
  'usr/share/man/man1/probe.1': 'manual',
};

async function treeOf(t: ExecutionContext, contents: Contents) {
  const bench = await prepareBench(t, contents);
  const [sysext] = contents.sysexts;
  if (sysext === undefined) throw new Error('no extension');
  return buildSysextTree(bench.context, sysext, '1.2.3', join(bench.folder, 'tree'));
}

test('an extension holds its packages and files below /usr alone, and fits exactly its release', async t => {
  const tree = await treeOf(t, {
    sysexts: [
      {
        name: 'debug',
        packages: ['probe'],
        files: [{source: 'settings', destination: '/usr/lib/probe/settings'}],
        units: ['probe.service'],
      },
    ],
    packages: {probe},
    files: {settings: 'a=1\n'},
  });
  t.deepEqual(tree.files, [
    'usr/bin/probe',
    'usr/lib/extension-release.d/extension-release.debug',
    'usr/lib/probe/settings',
    'usr/lib/systemd/system/multi-user.target.d/10-debug.conf',
    'usr/lib/systemd/system/probe.service',
  ]);
  const read = (name: string) => readFile(join(tree.root, name), 'utf8');
  t.is(
    await read('usr/lib/extension-release.d/extension-release.debug'),
    'ID=hawser\nVERSION_ID=1.2.3\nARCHITECTURE=x86-64\nEXTENSION_RELOAD_MANAGER=1\n',
  );
  t.is(
    await read('usr/lib/systemd/system/multi-user.target.d/10-debug.conf'),
    '[Unit]\nUpholds=probe.service\n',
  );
  t.deepEqual([...tree.copyright], [['probe', 'MIT\n']]);
});

test('an extension without units does not reload the manager', t => {
  t.notRegex(extensionRelease('hawser', '1.0.0', false), /RELOAD/);
});

test('what is left out by "remove" may lie outside /usr, and no folder outside stays', async t => {
  const tree = await treeOf(t, {
    sysexts: [{name: 'debug', packages: ['probe'], remove: ['etc/**', 'usr/bin/probe']}],
    packages: {probe: {...probe, 'etc/probe/probe.conf': ''}},
  });
  t.true((await walk(tree.root)).every(path => path === 'usr' || path.startsWith('usr/')));
  t.false(tree.files.includes('usr/bin/probe'));
});

const refused = test.macro({
  title: (title = '') => `${title} is a one-line error`,
  exec: async (t, contents: Contents, message: RegExp) => {
    const error = await t.throwsAsync(treeOf(t, contents), {instanceOf: ImageError});
    t.is(error?.code, 'recipe-invalid');
    t.regex(error?.message ?? '', message);
    t.false(error?.message.includes('\n'));
    t.truthy(error?.remedy);
  },
});

test(
  'a package with a file outside /usr',
  refused,
  {sysexts: [{name: 'debug', packages: ['probe']}], packages: {probe: {...probe, 'etc/probe.conf': ''}}},
  /sysexts\.debug: its packages bring \/etc\/probe\.conf, outside \/usr/,
);
test(
  'a file placed outside /usr',
  refused,
  {
    sysexts: [{name: 'debug', files: [{source: 'settings', destination: '/etc/settings'}]}],
    packages: {},
    files: {settings: ''},
  },
  /sysexts\.debug: \/etc\/settings is not below \/usr/,
);
test(
  'a source that is not there',
  refused,
  {sysexts: [{name: 'debug', files: [{source: 'nothing', destination: '/usr/lib/x'}]}], packages: {}},
  /sysexts\.debug: there is no .*nothing/,
);
test(
  'a unit that nothing brings',
  refused,
  {sysexts: [{name: 'debug', packages: ['probe'], units: ['other.service']}], packages: {probe}},
  /sysexts\.debug: there is no unit other\.service/,
);

test('a file of the image, or of another extension, cannot be brought again', async t => {
  const {usr} = await prepareBench(t, {sysexts: [], packages: {}});
  const check = (...trees: readonly {name: string; files: string[]}[]) => checkClashes(usr, trees);
  await t.notThrowsAsync(
    check({name: 'a', files: ['usr/bin/a']}, {name: 'b', files: ['usr/bin/b', 'usr/bin/bash/x']}),
  );
  await t.throwsAsync(check({name: 'a', files: ['usr/bin/bash']}), {
    message: 'sysexts.a: the image already has /usr/bin/bash',
  });
  await t.throwsAsync(check({name: 'a', files: ['usr/bin/x']}, {name: 'b', files: ['usr/bin/x']}), {
    message: 'sysexts.b: a already has /usr/bin/x',
  });
});

function locked(name: string, version: string): LockedPackage {
  const sha256 = Buffer.from(`${name}${version}`).toString('hex').padEnd(64, '0');
  return {name, version, architecture: 'amd64', archive: 'debian', path: `pool/${name}.deb`, sha256, size: 1};
}

test('an extension is locked to what it needs beyond the image', t => {
  const image = [locked('base', '1'), locked('libc', '2')];
  const beyond = packagesBeyond('debug', image, [...image, locked('strace', '6'), locked('libdw', '1')]);
  t.deepEqual(
    beyond.map(({name}) => name),
    ['strace', 'libdw'],
  );
});

for (const [what, all] of [
  ['replaces', [locked('strace', '6'), locked('libc', '2')]],
  ['changes', [locked('base', '1.1'), locked('libc', '2'), locked('strace', '6')]],
] as const) {
  test(`packages by which apt ${what} one of the image's are refused`, t => {
    const image = [locked('base', '1'), locked('libc', '2')];
    const error = t.throws(() => packagesBeyond('debug', image, all), {instanceOf: ImageError});
    t.is(error?.code, 'recipe-invalid');
    t.regex(error?.message ?? '', /debug do not go with the image's base 1/);
  });
}
