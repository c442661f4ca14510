import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {ImageError} from '../../../image-build/errors.ts';
import {openApt} from '../../../image-build/packages/apt.ts';
import {openStore} from '../../../image-build/packages/store.ts';
import {storeItem} from '../../../image-build/packages/fetch.ts';
import {makeArchive, makeKey, temporaryFolder, type Archive} from './archive.ts';

const signal = new AbortController().signal;

async function filled(t: ExecutionContext): Promise<Archive> {
  const archive = await makeArchive(t, await makeKey(t));
  await archive.addPackage({
    Package: 'base',
    Version: '1:2.0~rc1-3',
    Essential: 'yes',
    Source: 'base-src (2.0)',
  });
  await archive.addPackage({Package: 'libthing1', Version: '1.5'});
  await archive.addPackage({Package: 'extra', Version: '1'});
  await archive.addPackage({
    Package: 'thing',
    Version: '3.1+b1',
    Depends: 'libthing1 (>= 1)',
    Recommends: 'extra',
    Provides: 'virtual-thing',
  });
  await archive.addPackage({Package: 'broken', Version: '1', Depends: 'nowhere'});
  await archive.addPackage({Package: 'linux-image-9.9-amd64', Version: '9.9-1', Architecture: 'amd64'});
  await archive.addPackage({
    Package: 'linux-image-amd64',
    Version: '9.9-1',
    Architecture: 'amd64',
    Depends: 'linux-image-9.9-amd64 (= 9.9-1)',
  });
  await archive.publish();
  return archive;
}

async function open(t: ExecutionContext, archive: Archive, keyring = archive.keyring) {
  const mirrors = {debian: archive.url, 'debian-security': `${archive.url}-security`};
  return openApt(
    await temporaryFolder(t),
    {mirrors, suites: ['test'], components: ['main'], keyring},
    signal,
  );
}

async function refused(
  t: ExecutionContext,
  doing: Promise<unknown>,
  code: ImageError['code'],
  message: RegExp,
) {
  const error = await t.throwsAsync(doing, {instanceOf: ImageError});
  t.is(error?.code, code, error?.message);
  t.regex(error?.message ?? '', message);
  t.truthy(error?.remedy);
}

test('a signed archive resolves to the essential packages, the named ones and what they need, without recommended ones', async t => {
  const archive = await filled(t);
  const apt = await open(t, archive);
  const packages = await apt.closure(['thing']);
  t.deepEqual(packages.map(({name, version}) => `${name} ${version}`).sort(), [
    'base 1:2.0~rc1-3',
    'libthing1 1.5',
    'thing 3.1+b1',
  ]);
  const base = packages.find(({name}) => name === 'base');
  t.is(base?.source, 'base-src');
  t.is(base?.sourceVersion, '2.0');
  t.is(base?.archive, 'debian');

  const kernel = await apt.kernel('linux-image-amd64');
  t.is(kernel.name, 'linux-image-9.9-amd64');
  t.is(kernel.architecture, 'amd64');

  await refused(t, apt.closure(['thing', 'no-such-thing']), 'unknown-package', /no-such-thing/);
  await refused(t, apt.closure(['virtual-thing']), 'unknown-package', /virtual-thing/);
  await refused(t, apt.closure(['libth.ng1']), 'unknown-package', /libth\.ng1/);
  await refused(t, apt.closure(['broken']), 'unknown-package', /nowhere/);
  await refused(t, apt.kernel('no-kernel'), 'unknown-package', /no-kernel|No packages/);
});

test('an archive signed by another key is not believed', async t => {
  const archive = await filled(t);
  const other = await makeKey(t);
  await refused(t, open(t, archive, other.keyring), 'archive-untrusted', /signature/);
});

test('an index changed after it was signed is not believed', async t => {
  const archive = await filled(t);
  const path = join(archive.folder, 'dists/test/InRelease');
  await writeFile(path, (await readFile(path, 'utf8')).replace('Label: Test', 'Label: Best'));
  await refused(t, open(t, archive), 'archive-untrusted', /signature/);
});

test('an unsigned archive is not believed', async t => {
  const archive = await filled(t);
  const path = join(archive.folder, 'dists/test/InRelease');
  const release = (await readFile(path, 'utf8'))
    .split('\n')
    .filter(line => /^[A-Z][A-Za-z-]+\d*:( [^S]|$)|^ /.test(line))
    .join('\n');
  await writeFile(path, `${release}\n`);
  await refused(t, open(t, archive), 'archive-untrusted', /signature/);
});

test('an index whose time is over is not believed', async t => {
  const archive = await filled(t);
  await archive.publish({validUntil: new Date(Date.now() - 60_000)});
  await refused(t, open(t, archive), 'archive-untrusted', /too old/);
});

test('a package list that differs from the signed index is not believed', async t => {
  const archive = await filled(t);
  const path = join(archive.folder, 'dists/test/main/binary-amd64/Packages');
  await writeFile(path, (await readFile(path, 'utf8')).replace('Version: 1.5', 'Version: 1.6'));
  await refused(t, open(t, archive), 'archive-untrusted', /other bytes|signature/);
});

test('a package that differs from the signed index is not stored', async t => {
  const archive = await filled(t);
  const apt = await open(t, archive);
  const thing = (await apt.closure(['thing'])).find(({name}) => name === 'thing');
  if (thing === undefined) throw new Error('not resolved');
  const path = join(archive.folder, thing.path);
  const bytes = await readFile(path);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  await writeFile(path, bytes);
  const mirrors = {debian: archive.url, 'debian-security': archive.url};
  const store = openStore(await temporaryFolder(t), {retryDelayMs: 1});
  await refused(t, store.fetch(storeItem(mirrors, thing), signal), 'hash-mismatch', /thing 3\.1\+b1/);
  t.false(await store.has(thing.sha256));
});

test('an archive that nobody serves is unreachable, not untrusted', async t => {
  const archive = await filled(t);
  const nowhere = {...archive, url: 'http://127.0.0.1:9/debian'};
  await refused(t, open(t, nowhere), 'archive-unreachable', /127\.0\.0\.1:9/);
});
