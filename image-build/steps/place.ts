/** Puts files into a tree that is being built: owner root, modes 0755 and 0644, nothing outside the tree. */
import {chmod, cp, lchown, lstat, mkdir, readFile, readdir, realpath, rm, writeFile} from 'node:fs/promises';
import {dirname, join, relative} from 'node:path';
import {systemErrorCode} from '../../services/common/errors.ts';
import {ImageError} from '../errors.ts';

/**
 * Copies a folder's content to the folder `to`, or one file to the name `to` (absolute inside the tree `root`).
 * What is executable for its owner becomes 0755, the rest 0644, whatever the umask of the checkout was. Throws
 * {@link ImageError} `recipe-invalid`, naming the recipe's `field`, when `from` does not exist or a target lies outside
 * `within`.
 */
export async function placeFiles(
  from: string,
  root: string,
  to: string,
  within: string,
  field = 'provision.steps',
): Promise<void> {
  const kind = await lstat(from).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new ImageError('recipe-invalid', `${field}: there is no ${from}`, {
      remedy: 'correct the source in the recipe',
      cause: error,
    });
  });
  if (kind.isFile()) return placeEntry(from, root, join('/', to), within, field);
  for (const entry of await readdir(from, {recursive: true, withFileTypes: true})) {
    const source = join(entry.parentPath, entry.name);
    const target = join('/', to, relative(from, source));
    // A folder above /usr is no content of its own.
    if (entry.isDirectory() && !isBelow(target, within)) continue;
    if (entry.isDirectory()) await makeFolder(root, join(root, target));
    else await placeEntry(source, root, target, within, field);
  }
}

async function placeEntry(
  source: string,
  root: string,
  to: string,
  within: string,
  field: string,
): Promise<void> {
  if (!isBelow(to, within)) {
    throw new ImageError('recipe-invalid', `${field}: ${to} is not below ${within}`, {
      remedy:
        'the image is /usr: put configuration into /usr/lib, or its first copy into /usr/share/hawser/etc',
    });
  }
  const target = join(root, to);
  const info = await lstat(source);
  if (info.isSymbolicLink()) {
    await makeFolder(root, dirname(target));
    await rm(target, {force: true});
    await cp(source, target, {verbatimSymlinks: true});
    return;
  }
  const executable = (info.mode & 0o100) !== 0;
  await replaceFile(root, target, await readFile(source), executable ? 0o755 : 0o644);
}

function isBelow(path: string, folder: string): boolean {
  return folder === '/' || path === folder || path.startsWith(`${folder}/`);
}

/** Writes a new file in the place of `path`, below `root`: the old one may be a hard link into the cache. */
export async function replaceFile(
  root: string,
  path: string,
  data: string | Uint8Array,
  mode: number,
): Promise<void> {
  await makeFolder(root, dirname(path));
  await rm(path, {force: true});
  await writeFile(path, data, {mode, flag: 'wx'});
  await chmod(path, mode);
  await lchown(path, 0, 0);
}

/**
 * Makes a folder and those above it, 0755 each. Throws {@link ImageError} `step-failed` when a link on the way
 * leads out of `root`: an absolute link of the tree means another place on the machine that builds.
 */
export async function makeFolder(root: string, folder: string): Promise<void> {
  const parent = dirname(folder);
  if (folder !== root && parent !== folder) await makeFolder(root, parent);
  try {
    await mkdir(folder, {mode: 0o755});
    await chmod(folder, 0o755);
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
  await checkInside(root, folder);
}

/** Throws {@link ImageError} `step-failed` when `path` is, through links, not below `root`. */
export async function checkInside(root: string, path: string): Promise<void> {
  const [base, real] = await Promise.all([realpath(root), realpath(path)]);
  if (isBelow(real, base)) return;
  throw new ImageError('step-failed', `${relative(root, path)} leads out of the tree, to ${real}`);
}
