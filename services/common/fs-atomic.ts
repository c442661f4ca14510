/**
 * Files that are either the old bytes or the new ones after any interruption: write, fsync, rename, fsync the folder.
 */
import {randomBytes} from 'node:crypto';
import {link, open, rename, rm} from 'node:fs/promises';
import {dirname, join, basename} from 'node:path';
import {systemErrorCode} from './errors.ts';

/** Replaces `path` by `data` atomically and durably. `mode` is applied before any byte is written (0600 when absent). */
export async function writeFileAtomic(path: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
  const temporary = await writeTemporary(path, data, mode);
  try {
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, {force: true});
    throw error;
  }
  await syncFolder(dirname(path));
}

/**
 * Writes `path` whole and durably unless it exists already. Of several processes that try at once exactly one gets
 * `true`; the others get `false` and find the winner's bytes.
 */
export async function createFileOnce(
  path: string,
  data: string | Uint8Array,
  mode = 0o600,
): Promise<boolean> {
  const temporary = await writeTemporary(path, data, mode);
  try {
    await link(temporary, path); // link(2) never replaces: EEXIST
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, {force: true});
  }
  await syncFolder(dirname(path));
  return true;
}

async function writeTemporary(path: string, data: string | Uint8Array, mode: number): Promise<string> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(data);
      await file.chmod(mode); // the umask may have taken bits away
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await rm(temporary, {force: true});
    throw error;
  }
  return temporary;
}

/** Makes renames and removals inside `folder` durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
