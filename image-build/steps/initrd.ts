/** The initrd: systemd and what it needs to open /usr, taken from the image's own files. */
import {copyFile, lutimes, mkdir, readFile, rm, stat, symlink, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {readCpio} from '../../services/common/formats/cpio.ts';
import {sha256} from '../../services/common/hash.ts';
import {ImageError} from '../errors.ts';
import {runTool, type BuildContext} from './context.ts';
import {hashFolder} from './folder-hash.ts';
import {packArchives, splitArchives} from './initrd-archives.ts';
import {copyPrograms} from './initrd-programs.ts';
import {placeFiles} from './place.ts';
import type {Kernel} from './kernel.ts';
import {walk} from './walk.ts';
import {moduleName, parseModulesDep, withDependencies} from './module-list.ts';

/** Links of the merged /usr, and what systemd looks for. */
const links: Readonly<Record<string, string>> = {
  bin: 'usr/bin',
  sbin: 'usr/sbin',
  lib: 'usr/lib',
  lib64: 'usr/lib64',
  init: 'usr/lib/systemd/systemd',
  'etc/os-release': 'initrd-release',
  'usr/lib/systemd/system/default.target': 'initrd.target',
  'usr/lib/systemd/system/ctrl-alt-del.target': 'reboot.target',
};
const folders = ['proc', 'sys', 'dev', 'run', 'tmp', 'sysroot', 'sysusr/usr', 'var', 'root', 'etc'];

/** `target`.wants or .requires -> units: what runs in the initrd. */
const wants: Readonly<Record<string, readonly string[]>> = {
  'sysinit.target.wants': [
    'systemd-udevd.service',
    'systemd-udev-trigger.service',
    'systemd-journald.service',
    'systemd-modules-load.service',
    'veritysetup.target',
  ],
  'sockets.target.wants': [
    'systemd-udevd-control.socket',
    'systemd-udevd-kernel.socket',
    'systemd-journald.socket',
    'systemd-journald-dev-log.socket',
  ],
  'initrd-root-fs.target.wants': ['systemd-repart.service'],
  'initrd.target.wants': ['systemd-pcrphase-initrd.service'],
  'initrd-fs.target.requires': ['hawser-sysroot.service'],
};

/** Returns the path of `initrd.zst`, cached by the base tree and this step's own files. */
export async function buildInitrd(context: BuildContext, base: string, kernel: Kernel): Promise<string> {
  const definition = join(context.recipeFolder, 'initrd');
  const key = [
    base,
    context.toolsRoot,
    await hashFolder(definition),
    context.recipe.build.initrdModules,
    sha256(JSON.stringify([links, folders, wants, 'archives 2', 'compiled module lists'])),
    context.lock.epoch,
  ];
  const folder = await context.cache.ensure('initrd', key, async work => {
    const root = join(work, 'root');
    for (const name of folders) await mkdir(join(root, name), {recursive: true});
    await copyPrograms(context, base, root, definition);
    await copyModules(context, base, root, kernel);
    await placeFiles(join(definition, 'root'), root, '/', '/');
    for (const [name, target] of Object.entries(links)) await symlink(target, join(root, name));
    await linkWants(join(root, 'usr/lib/systemd/system'));
    await writeFile(
      join(root, 'etc/initrd-release'),
      `ID=${context.recipe.name}\nNAME="Hawser initrd"\nPRETTY_NAME="Hawser initrd"\n`,
    );
    await writeFile(join(root, 'etc/machine-id'), '');
    for (const name of ['passwd', 'group', 'nsswitch.conf', 'mke2fs.conf']) {
      await copyFile(join(base, 'usr/share/hawser/etc', name), join(root, 'etc', name));
    }
    await pack(context, work, root);
  });
  return join(folder, 'initrd.zst');
}

async function copyModules(context: BuildContext, base: string, root: string, kernel: Kernel): Promise<void> {
  const from = join(base, 'usr/lib/modules', kernel.version);
  const to = join(root, 'usr/lib/modules', kernel.version);
  const dependencies = parseModulesDep(await readFile(join(from, 'modules.dep'), 'utf8'));
  const builtin = new Set(
    (await readFile(join(from, 'modules.builtin'), 'utf8')).split('\n').map(moduleName),
  );
  const byName = new Map([...dependencies.keys()].map(path => [moduleName(path), path]));
  const wanted = context.recipe.build.initrdModules.flatMap(name => {
    const path = byName.get(moduleName(name));
    if (path !== undefined) return [path];
    if (builtin.has(moduleName(name))) return [];
    throw new ImageError('recipe-invalid', `build.initrdModules: the image has no module ${name}`, {
      remedy: 'correct it, or add it to modules.list',
    });
  });
  for (const path of withDependencies(wanted, dependencies)) {
    await mkdir(dirname(join(to, path)), {recursive: true});
    await copyFile(join(from, path), join(to, path));
  }
  for (const file of ['modules.order', 'modules.builtin', 'modules.builtin.modinfo'])
    await copyFile(join(from, file), join(to, file));
  await runTool(context, ['depmod', '-b', '/initrd/usr', kernel.version], {[root]: '/initrd'});
  // read by depmod or by people; modprobe and udev have the compiled forms
  for (const file of ['modules.order', 'modules.alias', 'modules.symbols', 'modules.builtin.modinfo'])
    await rm(join(to, file));
}

async function linkWants(units: string): Promise<void> {
  for (const [target, names] of Object.entries(wants)) {
    await mkdir(join(units, target), {recursive: true});
    for (const name of names) {
      await stat(join(units, name));
      await symlink(`../${name}`, join(units, target, name));
    }
  }
}

/** newc archives in sorted order, then zstd on one thread: the same bytes every time. */
async function pack(context: BuildContext, work: string, root: string): Promise<void> {
  const entries = await walk(root);
  const {epoch} = context.lock;
  for (const entry of entries) await lutimes(join(root, entry), epoch, epoch);
  await lutimes(root, epoch, epoch);
  const binds = {[work]: '/build'};
  await runTool(
    context,
    [
      'cpio',
      '--null',
      '--create',
      '--format=newc',
      '--reproducible',
      '--quiet',
      '--owner=0:0',
      '--directory=/build/root',
      '--file=/build/initrd.cpio',
    ],
    binds,
    {},
    ['.', ...entries].join('\0'),
  );
  const archive = join(work, 'initrd.cpio');
  const archives = splitArchives(readCpio(await readFile(archive)));
  await rm(archive);
  await writeFile(join(work, 'initrd.zst'), await packArchives(archives));
}
