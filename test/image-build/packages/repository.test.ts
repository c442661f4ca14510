import {copyFile, mkdir, readFile, readdir, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import test from 'ava';
import {parseDeb822} from '../../../image-build/contents/deb822.ts';
import type {LockedPackage} from '../../../image-build/packages/lock.ts';
import {writeRepository} from '../../../image-build/packages/repository.ts';
import {openStore} from '../../../image-build/packages/store.ts';
import {makePackage, temporaryFolder} from './archive.ts';

const signal = new AbortController().signal;

test('a repository of two packages lists exactly them, sorted, with the hashes of the lock, as links into the store', async t => {
  const folder = await temporaryFolder(t);
  const store = openStore(join(folder, 'store'));
  const entries: LockedPackage[] = [];
  for (const [name, version] of [
    ['zeta', '1'],
    ['alpha', '2:1.0+b~1'],
  ] as const) {
    const deb = join(folder, 'made.deb');
    const sha256 = await makePackage(deb, {Package: name, Version: version});
    await mkdir(dirname(store.path(sha256)), {recursive: true});
    await copyFile(deb, store.path(sha256));
    entries.push({
      name,
      version,
      architecture: 'all',
      archive: 'debian',
      path: 'pool/x.deb',
      sha256,
      size: (await stat(deb)).size,
    });
  }
  const target = join(folder, 'repository');
  await writeRepository(target, store, entries, signal);

  t.deepEqual((await readdir(target)).sort(), ['Packages', 'alpha_2%3a1.0+b~1_all.deb', 'zeta_1_all.deb']);
  const stanzas = parseDeb822(await readFile(join(target, 'Packages'), 'utf8'));
  t.deepEqual(
    stanzas.map(stanza => stanza.get('Package')),
    ['alpha', 'zeta'],
  );
  for (const stanza of stanzas) {
    const entry = entries.find(({name}) => name === stanza.get('Package'));
    t.is(stanza.get('Version'), entry?.version);
    t.is(stanza.get('SHA256'), entry?.sha256);
    t.is(stanza.get('Size'), String(entry?.size));
    const file = await stat(join(target, stanza.get('Filename') ?? ''));
    t.is(file.ino, (await stat(store.path(entry?.sha256 ?? ''))).ino);
  }
});
