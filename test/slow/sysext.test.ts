/** System extensions packed by the locked tools: what systemd would open, down to its bytes. */
import {copyFile, mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {exportSysext} from '../../image-build/formats/exporters/sysext.ts';
import {openFileSource} from '../../services/common/formats/file-source.ts';
import {readGpt} from '../../services/common/formats/gpt.ts';
import {readSysext} from '../../image-build/formats/sysext.ts';
import {sysextSignature, type Signing} from '../../image-build/signing.ts';
import {buildSysexts} from '../../image-build/steps/sysexts.ts';
import {partitionType, slotPartitionUuids} from '../../services/common/contracts/slots.ts';
import {exec} from '../../services/common/exec.ts';
import {sha256, sha256File} from '../../services/common/hash.ts';
import {prepareBench} from '../image-build/steps/sysext-support.ts';
import {findToolsRoot, hawser, temporaryHome} from './support.ts';

const contents = {
  sysexts: [{name: 'debug', packages: ['probe'], units: ['probe.service']}],
  packages: {
    probe: {
      'usr/bin/probe': 'x'.repeat(100_000),
      'usr/lib/systemd/system/probe.service': '[Service]\nExecStart=/usr/bin/probe\n',
    },
  },
};

/** Builds the extension in a place of its own. */
async function build(t: ExecutionContext, root: string, signing: Signing) {
  const {context, folder, usr} = await prepareBench(t, {...contents, toolsRoot: root});
  const signatures = signing.kind === 'none' ? undefined : join(folder, 'signatures');
  const input = {version: '1.2.3', signing, usr, signatures};
  const [built] = await buildSysexts(context, input, join(folder, 'work'));
  if (built === undefined) throw new Error('no extension was built');
  return {...built, signatures};
}

test.serial('an extension is named by its root hash, and the same bytes every time', async t => {
  const root = await findToolsRoot(t);
  if (root === undefined) return;
  const first = await build(t, root, {kind: 'none'});
  const second = await build(t, root, {kind: 'none'});
  t.is(first.rootHash, second.rootHash);
  t.is(await sha256File(first.image), await sha256File(second.image));

  await using source = await openFileSource(first.image);
  const {partitions} = await readGpt(source);
  const uuids = slotPartitionUuids(first.rootHash);
  t.deepEqual(
    partitions.map(one => [one.type, one.uuid]),
    [
      [partitionType.root, uuids.data],
      [partitionType.rootVerity, uuids.tree],
    ],
  );
  t.is((await readSysext(source, first.rootHash)).certificate, undefined);
  await t.throwsAsync(readSysext(source, sha256('another')));
});

test.serial('signed, it carries our certificate, and a published signature makes the same image', async t => {
  const root = await findToolsRoot(t);
  if (root === undefined) return;
  const home = await temporaryHome(t);
  await hawser({home}, 'keys', 'init');
  const keys = join(home, 'keys');
  const signed = await build(t, root, {kind: 'keys', folder: keys});
  await using source = await openFileSource(signed.image);
  const {certificate} = await readSysext(source, signed.rootHash);
  const {stdout} = await exec(
    ['openssl', 'x509', '-in', join(keys, 'db.crt'), '-noout', '-fingerprint', '-sha256'],
    {timeoutMs: 10_000},
  );
  t.is(certificate, stdout.trim().split('=')[1]?.replaceAll(':', '').toLowerCase());

  const published = signed.signatures ?? '';
  const attached = await build(t, root, {kind: 'attach', folder: published});
  t.is(await sha256File(attached.image), await sha256File(signed.image));

  await copyFile(sysextSignature(published, 'debug'), join(home, 'sig'));
  await rm(sysextSignature(published, 'debug'));
  await t.throwsAsync(build(t, root, {kind: 'attach', folder: published}), {
    message: 'there is no published signature of the extension debug',
  });
});

test.serial('the exporter refuses an image with one other byte, and leaves nothing', async t => {
  const root = await findToolsRoot(t);
  if (root === undefined) return;
  const {image, rootHash} = await build(t, root, {kind: 'none'});
  const folder = await mkdtemp(join(tmpdir(), 'hawser-export-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  const file = await exportSysext({folder, name: 'debug', image, rootHash});
  t.is(file.file, 'debug.raw');
  t.is(file.sha256, await sha256File(image));
  await exec(['dd', 'if=/dev/zero', `of=${image}`, 'bs=1', 'seek=60000', 'count=1', 'conv=notrunc'], {
    timeoutMs: 10_000,
  });
  await rm(join(folder, 'debug.raw'));
  await t.throwsAsync(exportSysext({folder, name: 'debug', image, rootHash}), {
    message: /does not fit its hash/,
  });
  t.deepEqual(await readdir(folder), []);
});
