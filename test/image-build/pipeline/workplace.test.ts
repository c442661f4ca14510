import {spawnSync} from 'node:child_process';
import {mkdir, mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {removeAbandoned, withWorkFolder} from '../../../image-build/workplace.ts';

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hawser-work-'));
  t.teardown(() => rm(path, {recursive: true, force: true}));
  return path;
}

test('a work folder is there while the task runs, and gone when it ends or throws', async t => {
  const parent = join(await folder(t), 'new');
  const seen = await withWorkFolder(parent, async work => {
    await writeFile(join(work, 'half-made'), '');
    return readdir(parent);
  });
  t.is(seen.length, 1);
  t.deepEqual(await readdir(parent), []);
  await t.throwsAsync(
    withWorkFolder(parent, async () => Promise.reject(new Error('failed'))),
    {message: 'failed'},
  );
  t.deepEqual(await readdir(parent), []);
});

test('what a killed process left goes; what a living one works in, and everything else, stays', async t => {
  const parent = await folder(t);
  const {pid} = spawnSync('true');
  await mkdir(join(parent, `.build-${pid}-abc`, 'deep'), {recursive: true});
  for (const name of [`.build-${process.pid}-abc`, '.build-x', '0.1.0-abc', '.other'])
    await mkdir(join(parent, name));
  t.deepEqual(await removeAbandoned(parent), [join(parent, `.build-${pid}-abc`)]);
  t.deepEqual((await readdir(parent)).sort(), [
    `.build-${process.pid}-abc`,
    '.build-x',
    '.other',
    '0.1.0-abc',
  ]);
  t.deepEqual(await removeAbandoned(join(parent, 'absent')), []);
});
