/** The programs of the initrd, and what they need to run, taken from the image's own /usr. */
import {chmod, copyFile, glob, lstat, mkdir, readFile, readdir, readlink, symlink} from 'node:fs/promises';
import {dirname, join, relative} from 'node:path';
import {systemErrorCode} from '../../services/common/errors.ts';
import {ImageError} from '../errors.ts';
import {runTool, type BuildContext} from './context.ts';
import {parseModuleList} from './module-list.ts';

const libraryFolders = ['lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu/systemd', 'lib/systemd'];

/**
 * Copies what `contents.list` of the folder `definition` names from `base`/usr to `root`/usr, links with what they
 * point to and programs with their libraries. Throws {@link ImageError} `recipe-invalid` for a line that names
 * nothing, or something that is no file.
 */
export async function copyPrograms(
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
  if (path.startsWith('..')) throw notInTheImage(`/${path.replace(/^(\.\.\/)+/, '')}, to which a link leads`);
  const kind = await lstat(join(usr, path)).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw notInTheImage(`usr/${path}, to which a link leads`);
  });
  await mkdir(dirname(join(target, path)), {recursive: true});
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
