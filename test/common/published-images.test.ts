import {mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {listPublished, recordPublished} from '../../services/common/published-images.ts';

const image = {
  schema: 1,
  driver: 'openstack',
  place: 'https://cloud/demo/one',
  reference: 'id-1',
  version: '1.9.0',
  rootHash: 'a'.repeat(64),
  at: '2026-01-01T00:00:00.000Z',
} as const;

test('images come back newest version first, by driver and place; the same version replaces', async t => {
  const home = await mkdtemp(join(tmpdir(), 'hawser-published-'));
  t.teardown(() => rm(home, {recursive: true}));
  t.deepEqual(await listPublished(home, 'openstack'), []);
  await recordPublished(home, image);
  await recordPublished(home, {...image, reference: 'id-2', version: '1.10.0'});
  await recordPublished(home, {...image, reference: 'id-3', version: '1.10.0-rc.1'});
  await recordPublished(home, {...image, reference: 'id-4', place: 'https://cloud/demo/two'});
  await recordPublished(home, {...image, reference: 'ami-1', driver: 'amazonec2'});
  await recordPublished(home, {...image, reference: 'id-5'});
  const references = (found: ReadonlyArray<{reference: string}>) => found.map(({reference}) => reference);
  t.deepEqual(references(await listPublished(home, 'openstack', image.place)), ['id-2', 'id-3', 'id-5']);
  t.deepEqual(references(await listPublished(home, 'openstack', 'https://cloud/demo/two')), ['id-4']);
  t.is((await readdir(join(home, 'published'))).length, 5);
});

test('a damaged note names its file', async t => {
  const home = await mkdtemp(join(tmpdir(), 'hawser-published-'));
  t.teardown(() => rm(home, {recursive: true}));
  await recordPublished(home, image);
  const [name = ''] = await readdir(join(home, 'published'));
  await writeFile(join(home, 'published', name), '{"schema":1');
  const error = await t.throwsAsync(listPublished(home, 'openstack'));
  t.true(error?.message.includes(name));
});
