/** The files directory: `local` files and `trees`, read without ever leaving it. */
import {lstat, readFile, readdir, readlink, realpath, stat} from 'node:fs/promises';
import {join, sep} from 'node:path';
import {gzipSync} from 'node:zlib';
import {describeError, systemErrorCode} from '../../../common/errors.ts';
import {ConfigError} from '../errors.ts';
import type {Gzip, LocalEntry} from '../ports.ts';
import {translate, type Translation} from '../translate.ts';

/** Contents travel inside the config, and that through user-data or fw_cfg. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** Level 9, no name and no time in the header: the same bytes for the same input. */
export const gzip: Gzip = bytes => gzipSync(bytes, {level: 9});

/**
 * Translates `text` with the local files below `filesDir` (none when undefined). The core is synchronous: it runs
 * until it asks for nothing new, and what it asked for is read in between. Throws {@link ConfigError} `unreadable`
 * when `filesDir` itself cannot be read.
 */
export async function translateWithFiles(
  text: string,
  options: {readonly fileName: string; readonly filesDir: string | undefined},
): Promise<Translation> {
  const {fileName, filesDir} = options;
  if (filesDir === undefined) return translate(text, {fileName, gzip});
  const root = await resolveFilesDir(filesDir);
  const known = new Map<string, LocalEntry>();
  for (;;) {
    const wanted = new Map<string, {path: string; follow: boolean}>();
    const readLocal = (path: string, follow: boolean): LocalEntry => {
      const key = `${follow ? 'follow' : 'keep'}:${path}`;
      const entry = known.get(key);
      if (entry === undefined) wanted.set(key, {path, follow});
      return entry ?? {kind: 'unavailable', reason: 'not read yet'};
    };
    const translation = translate(text, {fileName, gzip, readLocal});
    if (wanted.size === 0) return translation;
    for (const [key, {path, follow}] of wanted) known.set(key, await readEntry(root, path, follow));
  }
}

async function resolveFilesDir(filesDir: string): Promise<string> {
  try {
    const root = await realpath(filesDir);
    if ((await stat(root)).isDirectory()) return root;
  } catch (error) {
    throw new ConfigError(
      'unreadable',
      `the files directory ${filesDir} cannot be read (${reasonOf(error)})`,
      {
        cause: error,
      },
    );
  }
  throw new ConfigError('unreadable', `${filesDir} is not a directory`, {
    remedy: 'give --files-dir a directory',
  });
}

async function readEntry(root: string, path: string, follow: boolean): Promise<LocalEntry> {
  try {
    const whole = join(root, path);
    const found = await lstat(whole);
    if (found.isSymbolicLink() && !follow) return {kind: 'link', target: await readlink(whole)};
    // Links on the way may lead anywhere, so it is the real path that must be inside.
    const real = await realpath(whole);
    if (real !== root && !real.startsWith(root.endsWith(sep) ? root : root + sep)) {
      return {kind: 'unavailable', reason: `"${path}" leads out of the files directory`};
    }
    const info = await stat(real);
    if (info.isDirectory()) return {kind: 'folder', names: await readdir(real)};
    if (!info.isFile()) return {kind: 'other'};
    if (info.size > MAX_FILE_BYTES) {
      return {kind: 'unavailable', reason: `"${path}" is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB`};
    }
    return {kind: 'file', bytes: await readFile(real), executable: (info.mode & 0o111) !== 0};
  } catch (error) {
    return {kind: 'unavailable', reason: `"${path}" cannot be read (${reasonOf(error)})`};
  }
}

/** A system error in a word or two. */
export function reasonOf(error: unknown): string {
  const reasons = new Map([
    ['ENOENT', 'no such file'],
    ['EACCES', 'permission denied'],
    ['EISDIR', 'it is a directory'],
    ['ENOTDIR', 'part of the path is not a directory'],
    ['ELOOP', 'too many links'],
  ]);
  const code = systemErrorCode(error);
  return (code === undefined ? undefined : reasons.get(code)) ?? code ?? describeError(error);
}
