import {spawnSync} from 'node:child_process';
import {mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {openCache} from '../../../image-build/cache.ts';
import {makeFolderOnce} from '../../../image-build/work-folder.ts';

async function temporary(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hawser-cache-'));
  t.teardown(() => rm(path, {recursive: true, force: true}));
  return path;
}

test('a step is made once for one key, and again for another', async t => {
  const folder = await temporary(t);
  const cache = openCache(folder);
  let made = 0;
  const make = async (work: string) => {
    made += 1;
    await writeFile(join(work, 'file'), String(made));
  };
  const first = await cache.ensure('kernel', ['a', 1], make);
  t.is(await cache.ensure('kernel', ['a', 1], make), first);
  t.is(made, 1);
  t.is(await readFile(join(first, 'file'), 'utf8'), '1');
  t.not(await cache.ensure('kernel', ['a', 2], make), first);
  t.not(await cache.ensure('initrd', ['a', 1], make), first);
  t.is(made, 3);
});

test('the time of last use is kept', async t => {
  const cache = openCache(await temporary(t));
  const path = await cache.ensure('kernel', 1, async () => undefined);
  await utimes(path, 1, 1);
  await cache.ensure('kernel', 1, async () => undefined);
  t.true(Date.now() - (await stat(path)).mtimeMs < 60_000);
});

test('a step that fails leaves nothing, and can be made afterwards', async t => {
  const folder = await temporary(t);
  const cache = openCache(folder);
  const failing = cache.ensure('kernel', 1, async work => {
    await mkdir(join(work, 'half/made'), {recursive: true});
    throw new Error('no');
  });
  await t.throwsAsync(failing, {message: 'no'});
  t.deepEqual(await readdir(join(folder, 'steps')), []);
  t.true((await stat(await cache.ensure('kernel', 1, async () => undefined))).isDirectory());
});

test('two builds at once both get the one result', async t => {
  const folder = await temporary(t);
  let waiting = 0;
  let go: () => void = () => undefined;
  const bothThere = new Promise<void>(resolve => (go = resolve));
  const make = async (work: string) => {
    await writeFile(join(work, 'file'), 'same');
    waiting += 1;
    if (waiting === 2) go();
    await bothThere;
  };
  const paths = await Promise.all([1, 2].map(() => openCache(folder).ensure('kernel', 1, make)));
  t.is(waiting, 2);
  t.is(paths[0], paths[1]);
  t.deepEqual(await readdir(join(folder, 'steps')), [paths[0]?.split('/').at(-1)]);
  t.is(await readFile(join(paths[0] ?? '', 'file'), 'utf8'), 'same');
});

test('a folder below the work folder can be the result', async t => {
  const folder = await temporary(t);
  await makeFolderOnce(join(folder, 'root'), 'image', async work => {
    await mkdir(join(work, 'inner'));
    await writeFile(join(work, 'inner/x'), '');
    return join(work, 'inner');
  });
  t.deepEqual(await readdir(folder), ['root']);
  t.deepEqual(await readdir(join(folder, 'root')), ['x']);
});

/** Another process that is killed in the middle of a step; gives its work folder's name. */
function killedBuild(folder: string): void {
  const module = new URL('../../../image-build/cache.ts', import.meta.url).pathname;
  const program = `
    import {openCache} from ${JSON.stringify(module)};
    import {writeFileSync} from 'node:fs';
    await openCache(${JSON.stringify(folder)}).ensure('kernel', 1, async work => {
      writeFileSync(work + '/half', 'made');
      process.kill(process.pid, 'SIGKILL');
      await new Promise(() => setInterval(() => undefined, 1000));
    });
  `;
  const result = spawnSync(process.execPath, ['--input-type=module', '-e', program], {timeout: 20_000});
  if (result.signal !== 'SIGKILL') throw new Error(`ended otherwise: ${result.stderr.toString()}`);
}

test('what a killed build left is never taken for a result, and the next build sweeps it', async t => {
  const folder = await temporary(t);
  killedBuild(folder);
  const [left] = await readdir(join(folder, 'steps'));
  t.regex(left ?? '', /^\.kernel-/);
  const path = await openCache(folder).ensure('kernel', 1, async work => writeFile(join(work, 'whole'), ''));
  t.deepEqual(await readdir(path), ['whole']);
  t.deepEqual(await readdir(join(folder, 'steps')), [path.split('/').at(-1)]);
});

test('a work folder of a living process stays; of an unknown machine, for a day', async t => {
  const folder = await temporary(t);
  const cache = openCache(folder);
  const kept: string[] = [];
  await cache.ensure('kernel', 1, async work => {
    const steps = join(work, '..');
    const foreign = ['.kernel-00000000-999999-young', '.kernel-00000000-999999-old'];
    for (const name of [...foreign, 'unrelated', '.unrelated']) await mkdir(join(steps, name));
    await utimes(join(steps, '.kernel-00000000-999999-old'), 1, 1);
    await cache.ensure('kernel', 2, async () => undefined);
    kept.push(...(await readdir(steps)));
    t.true((await stat(work)).isDirectory());
  });
  t.true(kept.includes('.kernel-00000000-999999-young'));
  t.true(kept.includes('unrelated') && kept.includes('.unrelated'));
  t.false(kept.includes('.kernel-00000000-999999-old'));
});
