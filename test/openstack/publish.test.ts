/** Images brought to Glance, proven, and found again. */
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Type} from 'typebox';
import {parseJson} from '../../services/common/parse.ts';
import {PublishedImage} from '../../services/common/published-images.ts';
import {deleteImage, getImage, listImages} from '../../machine-drivers/drivers/openstack/client/images.ts';
import {bench, lastLine, size, test} from './support/bench.ts';

test('an image is published once, proven, and found by create without its id', async t => {
  const {operator, session} = await bench(t, false);
  const none = await operator.run(['machine', 'create', 'no', ...size]);
  t.regex(lastLine(none.stderr), /hawser image publish --to openstack/);
  const publish = ['image', 'publish', '--to', 'openstack', '--output', 'json'];
  const first = parseJson(PublishedImage, await operator.must(publish), 'the answer');
  t.deepEqual(
    parseJson(PublishedImage, await operator.must(publish), 'the answer').reference,
    first.reference,
  );
  const Properties = Type.Object({hw_machine_type: Type.String(), hw_disk_bus: Type.String()});
  const call = {method: 'GET', path: `/images/${first.reference}`} as const;
  t.like(await session.ask('image', call, Properties), {hw_machine_type: 'q35', hw_disk_bus: 'virtio'});
  t.like(await getImage(session, first.reference), {status: 'active', hw_firmware_type: 'uefi', min_disk: 1});
  await deleteImage(session, first.reference);
  const gone = await operator.run(['machine', 'create', 'no', ...size]);
  t.is(gone.code, 3);
  t.regex(lastLine(gone.stderr), /no image .* in Glance.*publish/);
});

test('a disk that is not what its manifest says is not published', async t => {
  const {operator, session} = await bench(t, false);
  const disk = join(operator.home, 'images', 'current', 'hawser-1.0.0.qcow2');
  const bytes = await readFile(disk);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  await rm(disk);
  await writeFile(disk, bytes);
  const {code, stderr} = await operator.run(['image', 'publish', '--to', 'openstack']);
  t.is(code, 1);
  t.regex(lastLine(stderr), /not what its manifest says/);
  t.deepEqual(await listImages(session, {owner: session.projectId}), []);
});
