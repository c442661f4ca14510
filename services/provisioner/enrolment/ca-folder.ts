/** The folder that holds a CA: created whole or not at all, once, however many processes try. */
import {mkdir, mkdtemp, readFile, rename, rm, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {systemErrorCode, unlessMissing} from '../../common/errors.ts';
import {syncFolder, writeFileAtomic} from '../../common/fs-atomic.ts';

/** File names and contents; names ending in `-key.pem` or `key.pem` are secrets. */
export type FolderContents = Readonly<Record<string, string>>;

/**
 * Creates `folder` (0700) with these files (0600) unless it exists with something in it. Returns whether this call
 * made it: rename(2) refuses to replace a folder that is not empty, so of several callers one wins.
 */
export async function createFolderOnce(folder: string, contents: FolderContents): Promise<boolean> {
  await mkdir(dirname(folder), {recursive: true, mode: 0o700});
  const temporary = await mkdtemp(`${folder}.new-`);
  try {
    for (const [name, text] of Object.entries(contents))
      await writeFileAtomic(join(temporary, name), text, 0o600);
    await rename(temporary, folder);
  } catch (error) {
    await rm(temporary, {recursive: true, force: true});
    const code = systemErrorCode(error);
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
  await syncFolder(dirname(folder));
  return true;
}

/** Replaces `folder` as a whole. A reader may find it missing for an instant, but never half of each. */
export async function replaceFolder(folder: string, contents: FolderContents): Promise<void> {
  const old = await mkdtemp(`${folder}.old-`);
  await unlessMissing(rename(folder, old));
  try {
    await createFolderOnce(folder, contents);
  } finally {
    await rm(old, {recursive: true, force: true});
  }
}

const READS = 100; // a folder that changes under each of these is being fought over

/**
 * The named files of `folder`, all of the same folder even while it is being made or replaced: when another one stands
 * in its place after the reading, it is read again. A missing file, or folder, reads as undefined.
 */
export async function readFolder<Name extends string>(
  folder: string,
  names: readonly Name[],
): Promise<Partial<Record<Name, string>>> {
  for (let attempt = 1; ; attempt += 1) {
    const before = await identity(folder);
    const found: Partial<Record<Name, string>> = {};
    for (const name of names) {
      const text = await unlessMissing(readFile(join(folder, name), 'utf8'));
      if (text !== undefined) found[name] = text;
    }
    const same =
      before === (await identity(folder)) && (before !== undefined || Object.keys(found).length === 0);
    if (same || attempt === READS) return found;
  }
}

/** Which folder this is, if there is one: inode numbers alone are used again at once by some file systems. */
async function identity(folder: string): Promise<string | undefined> {
  const found = await unlessMissing(stat(folder, {bigint: true}));
  return found && `${found.dev}:${found.ino}:${found.birthtimeNs}`;
}
