/** The initrd: systemd and what it needs to open /usr, taken from the image's own files. */
import {
  chmod,
  copyFile,
  glob,
  lstat,
  lutimes,
  mkdir,
  readFile,
  readdir,
  readlink,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import {dirname, join, relative} from 'node:path';
import {sha256} from '../../services/common/hash.ts';
import {ImageError} from '../errors.ts';
import {runTool, type BuildContext} from './context.ts';
import {hashFolder} from './folder-hash.ts';
import {placeFiles} from './place.ts';
import type {Kernel} from './kernel.ts';
import {walk} from './walk.ts';
import {moduleName, parseModuleList, parseModulesDep, withDependencies} from './module-list.ts';

const libraryFolders = ['lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu/systemd', 'lib/systemd'];

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
    sha256(JSON.stringify([links, folders, wants])),
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

async function copyPrograms(
  context: BuildContext,
  base: string,
  root: string,
  definition: string,
): Promise<void> {
  const usr = join(base, 'usr');
  const wanted = parseModuleList(await readFile(join(definition, 'contents.list'), 'utf8'));
  let fresh: string[] = [];
  for (const pattern of wanted) {
    const found = await Array.fromAsync(glob(pattern, {cwd: usr}));
    if (found.length === 0) {
      throw notInTheImage(`usr/${pattern}`);
    }
    fresh.push(...found);
  }
  const libraries = await indexLibraries(usr);
  const taken = new Set<string>();
  while (fresh.length > 0) {
    const files: string[] = [];
    for (const path of fresh) files.push(...(await takeWithLinks(usr, join(root, 'usr'), path, taken)));
    const needed = await neededLibraries(context, usr, files);
    fresh = needed.map(name => {
      const path = libraries.get(name);
      if (path === undefined)
        throw new ImageError('step-failed', `the initrd needs ${name}, which the image does not have`);
      return path;
    });
    fresh = fresh.filter(path => !taken.has(path));
  }
}

function notInTheImage(what: string): ImageError {
  return new ImageError('recipe-invalid', `initrd/contents.list: the image has no ${what}`, {
    remedy: 'correct or remove the line',
  });
}

async function indexLibraries(usr: string): Promise<Map<string, string>> {
  const index = new Map<string, string>();
  for (const folder of libraryFolders) {
    for (const name of await readdir(join(usr, folder))) {
      if (name.includes('.so') && !index.has(name)) index.set(name, join(folder, name));
    }
  }
  index.set('ld-linux-x86-64.so.2', 'lib64/ld-linux-x86-64.so.2');
  return index;
}

/** Copies `path` and, while it is a link, what it points to; returns the plain files that were new. */
async function takeWithLinks(
  usr: string,
  target: string,
  path: string,
  taken: Set<string>,
): Promise<string[]> {
  if (taken.has(path)) return [];
  taken.add(path);
  await mkdir(dirname(join(target, path)), {recursive: true});
  if (path.startsWith('../')) throw notInTheImage(`/${path.slice(3)}: a link leads there`);
  const kind = await lstat(join(usr, path));
  if (!kind.isSymbolicLink()) {
    if (!kind.isFile()) throw notInTheImage(`usr/${path}, a plain file`);
    await copyFile(join(usr, path), join(target, path));
    // Nobody but root is in the initrd; and whether a copy keeps setuid depends on who builds.
    await chmod(join(target, path), (kind.mode & 0o100) === 0 ? 0o644 : 0o755);
    return [path];
  }
  const link = await readlink(join(usr, path));
  await symlink(link, join(target, path));
  const next = link.startsWith('/') ? relative('/usr', link) : join(dirname(path), link);
  return takeWithLinks(usr, target, next, taken);
}

async function neededLibraries(
  context: BuildContext,
  usr: string,
  files: readonly string[],
): Promise<string[]> {
  const binaries: string[] = [];
  for (const file of files) {
    if ((await readFile(join(usr, file))).subarray(0, 4).equals(Buffer.from('\u007FELF', 'latin1')))
      binaries.push(file);
  }
  if (binaries.length === 0) return [];
  const output = await runTool(context, ['readelf', '-d', '-W', ...binaries.map(file => `/image/${file}`)], {
    [usr]: '/image',
  });
  return [...new Set([...output.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(match => match[1] ?? ''))];
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

/** newc archive in sorted order, every time stamp the epoch, then zstd on one thread: the same bytes every time. */
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
  await runTool(
    context,
    ['zstd', '-q', '--single-thread', '-12', '--rm', '/build/initrd.cpio', '-o', '/build/initrd.zst'],
    binds,
  );
}
