/** What is published is what clients see, and what must be refused is. */
import {readdir, readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {readCatalogue} from '../../../services/update-server/releases/catalogue.ts';
import {withdrawRelease} from '../../../services/update-server/releases/withdraw.ts';
import {independentClient, machine} from './clients.ts';
import {bench, tinyImage} from './support.ts';

test('a published release is seen by both clients, manifest and all', async t => {
  const b = await bench(t);
  const [ours, theirs] = [await machine(b), await independentClient(b)];
  t.deepEqual(await ours.versions(), []);
  t.deepEqual(await theirs.versions(), []);
  const {created, manifest} = await b.publish('1.2.3', {
    barrier: true,
    from: '>=1.0.0',
    downgradeFrom: '<2.0.0',
    notes: 'müde "quoted" \\ notes\nin two lines',
  });
  t.true(created);
  t.deepEqual(await theirs.versions(), ['1.2.3']);
  t.deepEqual(await ours.versions(), ['1.2.3']);
  const trust = await ours.open();
  t.deepEqual(await trust.manifest('1.2.3'), manifest);
  t.is(manifest.notes, 'müde "quoted" \\ notes\nin two lines');
  t.like(trust.releases()[0], {version: '1.2.3', barrier: true, rootHash: manifest.rootHash});
  await t.throwsAsync(trust.manifest('9.9.9'), {code: 'no-such-release'});
  await t.throwsAsync(trust.manifest('__proto__'), {code: 'no-such-release'});
});

test('a release is compared with the newest one before it', async t => {
  const b = await bench(t);
  const packages = (libssl: string, ...more: string[]) => [
    {name: 'libssl3t64', version: libssl},
    ...more.map(name => ({name, version: '1'})),
  ];
  const publish = async (version: string, list: ReturnType<typeof packages>) =>
    (await b.publish(version, {image: await tinyImage(b.home, version, {packages: list})})).manifest;
  t.deepEqual((await publish('1.0.0', packages('3.5.1', 'gone'))).packages, []);
  await publish('3.0.0', packages('3.5.9'));
  const patch = await publish('1.1.0', packages('3.5.2', 'fresh'));
  t.is(patch.comparedWith, '1.0.0');
  t.deepEqual(patch.packages, [
    {name: 'fresh', to: '1'},
    {name: 'gone', from: '1'},
    {name: 'libssl3t64', from: '3.5.1', to: '3.5.2'},
  ]);
  t.deepEqual(
    (await readCatalogue(b.store)).releases.map(({version}) => version),
    ['3.0.0', '1.1.0', '1.0.0'],
  );
});

test('publishing again changes nothing; another image under the same version is refused', async t => {
  const b = await bench(t);
  await b.publish('1.0.0');
  const before = await readdir(join(b.repository, 'metadata'));
  const again = await b.publish('1.0.0', {notes: 'other notes'});
  t.false(again.created);
  t.is(again.manifest.notes, '');
  t.deepEqual(await readdir(join(b.repository, 'metadata')), before);
  const other = await tinyImage(b.home, '1.0.0', {rootHash: 'f'.repeat(64)});
  await t.throwsAsync(b.publish('1.0.0', {image: other}), {code: 'version-taken'});
});

const refused = test.macro(async (t, over: object, code: string) => {
  const b = await bench(t);
  const image = await tinyImage(b.home, '1.0.0', over);
  const before = await readdir(b.repository, {recursive: true});
  await t.throwsAsync(b.publish('1.0.0', {image, ...over}), {code});
  t.deepEqual(await readdir(b.repository, {recursive: true}), before);
});

test('refused: an unsigned image', refused, {signed: false}, 'unsigned-image');
test('refused: an image that was not built from its lock', refused, {locked: false}, 'unlocked-image');
test('refused: a version that is not semver', refused, {version: '1.0'}, 'bad-version');
test('refused: a version with a v', refused, {version: 'v1.0.0'}, 'bad-version');
test('refused: build metadata, which no order knows', refused, {version: '1.0.0+7'}, 'bad-version');
test('refused: a version that is a path', refused, {version: '../1.0.0'}, 'bad-version');
test('refused: a range that is none', refused, {from: 'newer than old'}, 'bad-range');
test('refused: notes without an end', refused, {notes: 'x'.repeat(70_000)}, 'bad-notes');

test('an image whose files are not those that it lists is refused before anything is signed', async t => {
  const b = await bench(t);
  const image = await tinyImage(b.home, '1.0.0');
  const damaged = {...image, rootHash: 'e'.repeat(64)};
  await t.throwsAsync(b.publish('1.0.0', {image: damaged}), {code: 'image-damaged'});
  t.deepEqual(await (await machine(b)).versions(), []);
});

test('a withdrawn release is unseen by clients, and its version is never used again', async t => {
  const b = await bench(t);
  const ours = await machine(b);
  const theirs = await independentClient(b);
  await b.publish('1.0.0');
  await b.publish('1.1.0');
  t.deepEqual(await ours.versions(), ['1.0.0', '1.1.0']);
  t.true((await withdrawRelease(b, '1.1.0', 'breaks docker')).changed);
  t.false((await withdrawRelease(b, '1.1.0', 'again')).changed);
  t.deepEqual(await ours.versions(), ['1.0.0']);
  t.deepEqual(await theirs.versions(), ['1.0.0']);
  const trust = await ours.open();
  t.is(trust.withdrawn()['1.1.0']?.reason, 'breaks docker');
  await t.throwsAsync(trust.manifest('1.1.0'), {code: 'withdrawn', message: /breaks docker/});
  await t.throwsAsync(b.publish('1.1.0'), {code: 'withdrawn'});
  await t.throwsAsync(withdrawRelease(b, '7.0.0', ''), {code: 'no-such-release'});
  await b.publish('1.2.0');
  t.deepEqual(await ours.versions(), ['1.0.0', '1.2.0']);
  t.is((await readCatalogue(b.store)).withdrawn['1.1.0']?.reason, 'breaks docker');
});

test('two publishers at once: both releases are there', async t => {
  const b = await bench(t);
  await Promise.all([b.publish('1.0.0'), b.publish('1.1.0'), b.publish('1.2.0')]);
  t.deepEqual(await (await machine(b)).versions(), ['1.0.0', '1.1.0', '1.2.0']);
  t.deepEqual(await (await independentClient(b)).versions(), ['1.0.0', '1.1.0', '1.2.0']);
});

test('keys are for their owner alone, the repository for everybody, and no key lies in it', async t => {
  const b = await bench(t);
  await b.publish('1.0.0');
  const modes = async (folder: string) => {
    const found = [];
    for (const entry of await readdir(folder, {withFileTypes: true, recursive: true})) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile()) found.push({path, mode: (await stat(path)).mode & 0o777});
    }
    return found;
  };
  const secrets = [...(await modes(join(b.home, 'release-keys'))), ...(await modes(`${b.repository}-keys`))];
  t.true(secrets.filter(({path}) => path.includes('-keys/')).length >= 7);
  for (const {path, mode} of secrets) if (!path.endsWith('root.json')) t.is(mode, 0o600, path);
  for (const {path, mode} of await modes(b.repository)) {
    t.is(mode, 0o644, path);
    t.notRegex(await readFile(path, 'utf8'), /"private"|"sealed"/);
  }
});
