import {chmod, link, lstat, mkdir, mkdtemp, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {ImageError} from '../../../image-build/errors.ts';
import {hashFolder} from '../../../image-build/steps/folder-hash.ts';
import {makeFolder, placeFiles, replaceFile} from '../../../image-build/steps/place.ts';
import {splitSteps} from '../../../image-build/steps/provision.ts';
import {removeMatches} from '../../../image-build/steps/trim.ts';
import {walk} from '../../../image-build/steps/walk.ts';

async function temporary(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hawser-tree-'));
  t.teardown(() => rm(path, {recursive: true, force: true}));
  return path;
}

/** Makes files; a value that starts with `->` is a link to what follows. */
async function fill(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), {recursive: true});
    if (content.startsWith('->')) await symlink(content.slice(2), join(folder, name));
    else await writeFile(join(folder, name), content);
  }
}

test('walk lists everything, sorted, and never looks behind a link', async t => {
  const folder = await temporary(t);
  await fill(folder, {'b/z': '', 'b/.hidden': '', a: '', 'loop/self': '->..', dead: '->nowhere'});
  t.deepEqual(await walk(folder), ['a', 'b', 'b/.hidden', 'b/z', 'dead', 'loop', 'loop/self']);
});

test('a folder hash changes with names, bytes, links and the executable bit, with nothing else', async t => {
  const base = {'a/one': 'x', 'a/two': 'y', link: '->a/one'};
  const hashOf = async (files: Readonly<Record<string, string>>, mode = 0o644) => {
    const folder = await temporary(t);
    await fill(folder, files);
    await chmod(join(folder, 'a/one'), mode);
    return hashFolder(folder);
  };
  const hash = await hashOf(base);
  t.is(await hashOf(base), hash);
  t.is(await hashOf(base, 0o600), hash);
  const others = [
    await hashOf(base, 0o755),
    await hashOf({...base, 'a/one': 'X'}),
    await hashOf({...base, link: '->a/two'}),
    await hashOf({...base, link: 'a/one'}),
    await hashOf({...base, more: ''}),
    await hashOf({...base, 'empty/x': ''}),
    await hashOf({'a/one': 'xy', 'a/two': '', link: '->a/one'}),
  ];
  t.is(new Set([hash, ...others]).size, others.length + 1);
});

test('removal: a star stays within a name, two stars cross folders, and dots are ordinary', async t => {
  const folder = await temporary(t);
  await fill(folder, {
    'usr/doc/a/b': '',
    'usr/lib/x.a': '',
    'usr/lib/deep/er/y.a': '',
    'usr/lib/x.so': '',
    'usr/bin/apt-get': '',
    'usr/bin/.apt': '',
    'usr/bin/sub/apt': '',
    'usr/gone/.hidden/x': '',
    'etc/passwd-': '',
    'etc/passwd': '',
  });
  await removeMatches(folder, [
    'usr/doc/**',
    'usr/lib/**/*.a',
    'usr/bin/apt*',
    'usr/gone/**',
    'usr/absent/**',
    'etc/*-',
  ]);
  t.deepEqual(await walk(folder), [
    'etc',
    'etc/passwd',
    'usr',
    'usr/bin',
    'usr/bin/.apt',
    'usr/bin/sub',
    'usr/bin/sub/apt',
    'usr/lib',
    'usr/lib/deep',
    'usr/lib/deep/er',
    'usr/lib/x.so',
  ]);
});

test('removal never follows a link out of the tree, and removes a link without what it points to', async t => {
  const outside = await temporary(t);
  await fill(outside, {'keep/file': 'precious'});
  const folder = await temporary(t);
  await fill(folder, {'usr/evil': `->${outside}`, 'usr/gone': `->${outside}/keep`, 'usr/x': ''});
  await removeMatches(folder, ['usr/evil/keep/**', 'usr/evil/*', 'usr/*/keep', 'usr/**/file', 'usr/gone']);
  t.is(await readFile(join(outside, 'keep/file'), 'utf8'), 'precious');
  t.deepEqual(await walk(folder), ['usr', 'usr/evil', 'usr/x']);
});

const asRoot = process.getuid?.() === 0 ? test : test.skip;

asRoot('a replaced file is a new one: its hard link in the cache keeps its bytes and mode', async t => {
  const folder = await temporary(t);
  await fill(folder, {'cache/file': 'old', 'tree/x': ''});
  await link(join(folder, 'cache/file'), join(folder, 'tree/file'));
  await replaceFile(join(folder, 'tree'), join(folder, 'tree/file'), 'new', 0o755);
  t.is(await readFile(join(folder, 'cache/file'), 'utf8'), 'old');
  t.is((await lstat(join(folder, 'cache/file'))).mode & 0o777, 0o644);
  t.is(await readFile(join(folder, 'tree/file'), 'utf8'), 'new');
  t.is((await lstat(join(folder, 'tree/file'))).mode & 0o777, 0o755);
});

asRoot('placed files have the modes of the image, whatever the checkout had', async t => {
  const folder = await temporary(t);
  await fill(folder, {
    'from/usr/lib/a': 'a',
    'from/usr/lib/run': 'r',
    'from/usr/lib/link': '->a',
    'tree/usr/x': '',
  });
  await chmod(join(folder, 'from/usr/lib'), 0o700);
  await chmod(join(folder, 'from/usr/lib/a'), 0o660);
  await chmod(join(folder, 'from/usr/lib/run'), 0o700);
  const before = process.umask(0o077);
  try {
    await placeFiles(join(folder, 'from'), join(folder, 'tree'), '/', '/usr');
  } finally {
    process.umask(before);
  }
  const mode = async (name: string) => (await lstat(join(folder, 'tree/usr/lib', name))).mode & 0o7777;
  t.is(await mode('.'), 0o755);
  t.is(await mode('a'), 0o644);
  t.is(await mode('run'), 0o755);
  t.true((await lstat(join(folder, 'tree/usr/lib/link'))).isSymbolicLink());
});

asRoot('files outside /usr, absent sources and links out of the tree are refused', async t => {
  const folder = await temporary(t);
  await fill(folder, {'from/etc/x': '', 'from/usr/out/file': '', 'tree/usr/x': '', 'outside/x': ''});
  await symlink(join(folder, 'outside'), join(folder, 'tree/usr/out'));
  const place = (source: string, to: string) =>
    placeFiles(join(folder, source), join(folder, 'tree'), to, '/usr');
  const code = async (doing: Promise<void>) => (await t.throwsAsync(doing, {instanceOf: ImageError}))?.code;
  t.is(await code(place('from/etc/x', '/etc/x')), 'recipe-invalid');
  t.is(await code(place('from/etc', '/usr/../etc')), 'recipe-invalid');
  t.is(await code(place('from/usr/out/file', '/usr/../../x')), 'recipe-invalid');
  t.is(await code(place('absent', '/usr')), 'recipe-invalid');
  t.is(await code(place('from/usr', '/usr')), 'step-failed');
  t.is(await code(makeFolder(join(folder, 'tree'), join(folder, 'tree/usr/out/deep'))), 'step-failed');
  t.deepEqual(await walk(join(folder, 'outside')), ['x']);
});

test('steps up to the last script work on the whole root, the files after it on the finished tree', t => {
  const files = (source: string) => ({type: 'files', source, destination: '/usr'}) as const;
  const script = {type: 'script', path: 's'} as const;
  t.deepEqual(splitSteps([files('a'), files('b')]), {live: [], finish: [files('a'), files('b')]});
  t.deepEqual(splitSteps([files('a'), script, files('b')]), {
    live: [files('a'), script],
    finish: [files('b')],
  });
  t.deepEqual(splitSteps([]), {live: [], finish: []});
});
