/** The disk of a release, made by the locked tools, wherever it is to lie. */
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {buildDisk} from '../../image-build/steps/disk.ts';
import {openFileSource} from '../../services/common/formats/file-source.ts';
import {readGpt} from '../../services/common/formats/gpt.ts';
import {prepareBench} from '../image-build/steps/sysext-support.ts';
import {findToolsRoot} from './support.ts';

test.serial('a recipe without the raw format has its disk made beside everything else', async t => {
  const toolsRoot = await findToolsRoot(t);
  if (toolsRoot === undefined) return;
  const {context} = await prepareBench(t, {sysexts: [], packages: {}, toolsRoot});
  const folder = await mkdtemp(join(tmpdir(), 'hawser-disk-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  const rootHash = '0123456789abcdef'.repeat(4);
  for (const out of ['work', 'elsewhere']) {
    const work = join(folder, out, 'work');
    await mkdir(work, {recursive: true});
    for (const name of ['usr.erofs', 'usr.verity', 'uki.efi', 'boot.efi'])
      await writeFile(join(work, name), Buffer.alloc(8192, 1));
    const image = {usr: join(work, 'usr.erofs'), tree: join(work, 'usr.verity'), rootHash, bytes: 8192};
    const programs = {uki: join(work, 'uki.efi'), bootLoader: join(work, 'boot.efi'), enrol: undefined};
    const target = join(folder, out, out === 'work' ? 'work' : '', 'x.raw');
    await buildDisk(context, {version: '1.2.3', image, ...programs}, work, target);
    await using disk = await openFileSource(target);
    t.deepEqual(
      (await readGpt(disk)).partitions.map(one => one.label),
      ['ESP', 'hawser_1.2.3', 'hawser_1.2.3_v', '_empty', '_empty'],
    );
  }
});
