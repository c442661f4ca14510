import {lstat, mkdir, mkdtemp, readFile, readlink, rm, symlink, writeFile, chmod} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {openCache} from '../../../image-build/cache.ts';
import {ImageError} from '../../../image-build/errors.ts';
import {openStore} from '../../../image-build/packages/store.ts';
import {loadRecipe} from '../../../image-build/recipe/load.ts';
import type {BuildContext} from '../../../image-build/steps/context.ts';
import {buildInitrd} from '../../../image-build/steps/initrd.ts';
import {copyPrograms} from '../../../image-build/steps/initrd-programs.ts';
import {walk} from '../../../image-build/steps/walk.ts';
import {silentProgress} from '../../../services/common/progress.ts';

const recipePath = new URL('../../fixtures/recipes/provisioned/recipe.yaml', import.meta.url).pathname;

interface Bench {
  readonly context: BuildContext;
  readonly folder: string;
  readonly copy: (list: string) => Promise<void>;
}

async function prepare(t: ExecutionContext): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-initrd-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  const usr = join(folder, 'base/usr');
  const files = {
    'bin/run': '#!/bin/sh\n',
    'bin/other': '#!/bin/sh\n',
    'lib/conf/a.conf': 'a',
    'lib/x86_64-linux-gnu/systemd/x': '',
    'lib/systemd/x': '',
  };
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(usr, name)), {recursive: true});
    await writeFile(join(usr, name), content);
  }
  await chmod(join(usr, 'bin/run'), 0o4711);
  await symlink('run', join(usr, 'bin/link'));
  await symlink('/usr/bin/link', join(usr, 'bin/absolute'));
  await symlink('/etc/alternatives/x', join(usr, 'bin/outside'));
  await symlink('nowhere', join(usr, 'bin/dead'));
  await mkdir(join(folder, 'initrd'));
  const context: BuildContext = {
    recipe: await loadRecipe(recipePath),
    recipeFolder: folder,
    lock: {schema: 1, request: '', epoch: 1, seed: '', tools: [], image: [], kernel: [], npm: []},
    cache: openCache(join(folder, 'cache')),
    store: openStore(join(folder, 'store')),
    toolsRoot: '/nowhere',
    imageRoot: '/nowhere',
    progress: silentProgress,
    signal: new AbortController().signal,
  };
  return {
    context,
    folder,
    copy: async list => {
      await writeFile(join(folder, 'initrd/contents.list'), list);
      await copyPrograms(context, join(folder, 'base'), join(folder, 'out'), join(folder, 'initrd'));
    },
  };
}

test('files and links come with what the links point to, without setuid', async t => {
  const {folder, copy} = await prepare(t);
  await copy('# programs\nbin/absolute\nlib/conf/*.conf\n');
  const out = join(folder, 'out/usr');
  t.deepEqual(await walk(out), [
    'bin',
    'bin/absolute',
    'bin/link',
    'bin/run',
    'lib',
    'lib/conf',
    'lib/conf/a.conf',
  ]);
  t.is(await readlink(join(out, 'bin/link')), 'run');
  t.is((await lstat(join(out, 'bin/run'))).mode & 0o7777, 0o755);
  t.is((await lstat(join(out, 'lib/conf/a.conf'))).mode & 0o7777, 0o644);
  t.is(await readFile(join(out, 'lib/conf/a.conf'), 'utf8'), 'a');
});

const refused: Readonly<Record<string, string>> = {
  'bin/no-such': 'usr/bin/no-such',
  'lib/*.nothing': 'usr/lib/*.nothing',
  'lib/conf': 'usr/lib/conf',
  'bin/outside': '/etc/alternatives/x',
  'bin/dead': 'usr/bin/nowhere',
};
for (const [line, named] of Object.entries(refused)) {
  test(`the line ${line} of the initrd's list is refused, and ${named} named`, async t => {
    const {copy} = await prepare(t);
    const error = await t.throwsAsync(copy(`bin/run\n${line}\n`), {instanceOf: ImageError});
    t.is(error?.code, 'recipe-invalid');
    t.true(error?.message.includes(named), error?.message);
    t.true(error?.message.includes('contents.list'));
  });
}

test('a module that the image does not have is refused by name, and nothing is cached', async t => {
  const {context, folder} = await prepare(t);
  await writeFile(join(folder, 'initrd/contents.list'), 'bin/run\n');
  const modules = join(folder, 'base/usr/lib/modules/6.0');
  await mkdir(modules, {recursive: true});
  await writeFile(join(modules, 'modules.dep'), 'kernel/fs/ext4.ko:\n');
  await writeFile(join(modules, 'modules.builtin'), 'kernel/fs/vfat.ko\n');
  const recipe = {
    ...context.recipe,
    build: {...context.recipe.build, initrdModules: ['vfat', 'ext4', 'no_such_module']},
  };
  const building = buildInitrd({...context, recipe}, join(folder, 'base'), {
    folder: '/nowhere',
    version: '6.0',
  });
  const error = await t.throwsAsync(building, {instanceOf: ImageError});
  t.is(error?.code, 'recipe-invalid');
  t.regex(error?.message ?? '', /no_such_module/);
  t.deepEqual(await walk(join(folder, 'cache')), ['steps']);
});
