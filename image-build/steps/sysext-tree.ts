/** What a system extension holds: packages that the image does not have, files, and what makes systemd take it. */
import {lstat, mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {exec} from '../../services/common/exec.ts';
import {systemErrorCode} from '../../services/common/errors.ts';
import {ImageError} from '../errors.ts';
import type {Sysext} from '../recipe/recipe.ts';
import type {BuildContext} from './context.ts';
import {makeFolder, placeFiles, replaceFile} from './place.ts';
import {removeMatches} from './trim.ts';
import {walk} from './walk.ts';

const UNPACK_TIMEOUT_MS = 120_000;
/** As in the image, of which dpkg leaves them out or the recipe takes them. */
const documentation = ['doc', 'man', 'info', 'locale', 'lintian', 'bug'].map(name => `usr/share/${name}/**`);
const unitFolder = 'usr/lib/systemd/system';

export interface SysextTree {
  /** Holds `usr` alone. */
  readonly root: string;
  /** Sorted relative paths of what is no folder. */
  readonly files: readonly string[];
  /** Texts of /usr/share/doc/NAME/copyright, by package. */
  readonly copyright: ReadonlyMap<string, string>;
}

/**
 * Makes the tree below `root` (absent yet). Throws {@link ImageError} `recipe-invalid` when anything of it lies outside
 * /usr, and when a unit is not there.
 */
export async function buildSysextTree(
  context: BuildContext,
  sysext: Sysext,
  version: string,
  root: string,
): Promise<SysextTree> {
  const {name, files = [], units = [], remove = []} = sysext;
  await mkdir(join(root, 'usr'), {recursive: true, mode: 0o755});
  const packages = context.lock.sysexts?.[name] ?? [];
  for (const {name: what, sha256} of packages) {
    await context.store.verify(sha256, what);
    await exec(['dpkg-deb', '-x', context.store.path(sha256), root], {
      timeoutMs: UNPACK_TIMEOUT_MS,
      signal: context.signal,
    });
  }
  const copyright = new Map<string, string>();
  for (const {name: what} of packages) {
    const text = await readIfThere(join(root, 'usr/share/doc', what, 'copyright'));
    if (text !== undefined) copyright.set(what, text);
  }
  await removeMatches(root, [...documentation, ...remove]);
  await dropOutside(root, name);
  for (const {source, destination} of files)
    await placeFiles(join(context.recipeFolder, source), root, destination, '/usr', `sysexts.${name}`);
  await runUnits(root, name, units);
  await replaceFile(
    root,
    join(root, releaseFile(name)),
    extensionRelease(context.recipe.name, version, units.length > 0),
    0o644,
  );
  return {root, copyright, files: await listFiles(root)};
}

/** Where systemd looks for what an extension fits. */
export function releaseFile(name: string): string {
  return `usr/lib/extension-release.d/extension-release.${name}`;
}

/**
 * os-release(5): without SYSEXT_LEVEL the machine's VERSION_ID must be the same. Its libraries are those of this
 * release, so no other may take it.
 */
export function extensionRelease(id: string, version: string, hasUnits: boolean): string {
  const reload = hasUnits ? ['EXTENSION_RELOAD_MANAGER=1'] : [];
  return [`ID=${id}`, `VERSION_ID=${version}`, 'ARCHITECTURE=x86-64', ...reload, ''].join('\n');
}

/** Empty folders outside /usr go; a file there would never reach a machine. */
async function dropOutside(root: string, name: string): Promise<void> {
  for (const path of await walk(root)) {
    if (path === 'usr' || path.startsWith('usr/') || (await lstat(join(root, path))).isDirectory()) continue;
    throw new ImageError('recipe-invalid', `sysexts.${name}: its packages bring /${path}, outside /usr`, {
      remedy: `name ${path} in "remove" of the extension, or put the package into build.packages`,
    });
  }
  for (const path of await walk(root))
    if (!path.includes('/') && path !== 'usr') await rm(join(root, path), {recursive: true});
}

/**
 * An extension is merged while the boot's jobs already wait, where a link in multi-user.target.wants comes too late:
 * Upholds= (systemd.unit(5)) starts the unit whenever the extension is there.
 */
async function runUnits(root: string, name: string, units: readonly string[]): Promise<void> {
  for (const unit of units) {
    const file = unit.replace(/@.+\./, '@.');
    if ((await statOf(join(root, unitFolder, unit))) || (await statOf(join(root, unitFolder, file))))
      continue;
    throw new ImageError('recipe-invalid', `sysexts.${name}: there is no unit ${unit} in it`, {
      remedy: 'correct the name in the recipe',
    });
  }
  if (units.length === 0) return;
  const dropIn = join(root, unitFolder, 'multi-user.target.d', `10-${name}.conf`);
  await makeFolder(root, join(dropIn, '..'));
  await writeFile(dropIn, `[Unit]\nUpholds=${units.join(' ')}\n`, {mode: 0o644});
}

async function listFiles(root: string): Promise<string[]> {
  const files: string[] = [];
  for (const path of await walk(root)) if (!(await lstat(join(root, path))).isDirectory()) files.push(path);
  return files;
}

/**
 * Throws {@link ImageError} `recipe-invalid` when an extension would hide a file of the image, or two bring the same
 * one: which of them a machine sees would depend on their names.
 */
export async function checkClashes(
  usr: string,
  trees: readonly {readonly name: string; readonly files: readonly string[]}[],
): Promise<void> {
  const owners = new Map<string, string>();
  for (const {name, files} of trees) {
    for (const path of files) {
      const other = owners.get(path) ?? ((await statOf(join(usr, '..', path))) ? 'the image' : undefined);
      if (other !== undefined) {
        throw new ImageError('recipe-invalid', `sysexts.${name}: ${other} already has /${path}`, {
          remedy: 'take it out of one of them',
        });
      }
      owners.set(path, name);
    }
  }
}

async function statOf(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: unknown) => {
      if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return false;
      throw error;
    },
  );
}

async function readIfThere(path: string): Promise<string | undefined> {
  return (await statOf(path)) ? readFile(path, 'utf8') : undefined;
}
