/** The kernel and its chosen modules, decompressed once so that no boot has to do it. */
import {copyFile, mkdir, readFile, readdir, rename, rm, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {exec} from '../../services/common/exec.ts';
import {ImageError} from '../errors.ts';
import {runTool, type BuildContext} from './context.ts';
import {parseModuleList, parseModulesDep, selectModules} from './module-list.ts';

const UNPACK_TIMEOUT_MS = 120_000;

export interface Kernel {
  /** Folder with `vmlinuz`, `config` and `lib/modules/VERSION`. */
  readonly folder: string;
  /** As `uname -r` prints it. */
  readonly version: string;
}

/** Unpacks the locked kernel and the modules of the recipe's list with what they need; cached. */
export async function buildKernel(context: BuildContext): Promise<Kernel> {
  const [entry] = context.lock.kernel;
  if (entry === undefined)
    throw new ImageError('lock-invalid', 'the lock names no kernel', {remedy: 'run "hawser image lock"'});
  const list = parseModuleList(
    await readFile(join(context.recipeFolder, context.recipe.build.modules), 'utf8'),
  );
  const folder = await context.cache.ensure('kernel', [entry.sha256, list, context.toolsRoot], async work => {
    await context.store.verify(entry.sha256, entry.name);
    const unpacked = join(work, 'unpacked');
    await exec(['dpkg-deb', '-x', context.store.path(entry.sha256), unpacked], {
      timeoutMs: UNPACK_TIMEOUT_MS,
      signal: context.signal,
    });
    const version = await onlyChild(join(unpacked, 'usr/lib/modules'));
    const binds = {[work]: '/build'};
    await runTool(context, ['depmod', '-b', '/build/unpacked/usr', version], binds);

    const from = join(unpacked, 'usr/lib/modules', version);
    const to = join(work, 'lib/modules', version);
    const dependencies = parseModulesDep(await readFile(join(from, 'modules.dep'), 'utf8'));
    const builtin = (await readFile(join(from, 'modules.builtin'), 'utf8')).split('\n');
    const selected = [...selectModules(list, dependencies, builtin)].sort();
    for (const path of selected) {
      await mkdir(dirname(join(to, path)), {recursive: true});
      await copyFile(join(from, path), join(to, path));
    }
    for (const file of ['modules.order', 'modules.builtin', 'modules.builtin.modinfo'])
      await copyFile(join(from, file), join(to, file));
    const compressed = selected
      .filter(path => path.endsWith('.xz'))
      .map(path => `/build/lib/modules/${version}/${path}`);
    await writeFile(join(work, 'compressed'), compressed.join('\0'));
    await runTool(
      context,
      ['xargs', '-0', '-r', '-P2', '-n64', '-a', '/build/compressed', 'xz', '-d', '-f'],
      binds,
    );
    await runTool(context, ['depmod', '-b', '/build', version], binds);
    await rename(join(unpacked, 'boot', `vmlinuz-${version}`), join(work, 'vmlinuz'));
    await rename(join(unpacked, 'boot', `config-${version}`), join(work, 'config'));
    await rm(join(work, 'compressed'));
    await rm(unpacked, {recursive: true});
  });
  return {folder, version: await onlyChild(join(folder, 'lib/modules'))};
}

async function onlyChild(folder: string): Promise<string> {
  const [name, ...more] = await readdir(folder);
  if (name === undefined || more.length > 0)
    throw new ImageError('step-failed', `${folder} should hold one kernel version`);
  return name;
}
