/** The machine's own key for the operator's login. */
import {access, rename, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {exec} from '../../services/common/exec.ts';
import {syncFolder} from '../../services/common/fs-atomic.ts';
import {privateKeyFile} from './connection.ts';

/** Makes `id_ed25519` and `id_ed25519.pub` in `folder` unless they are there. */
export async function ensureKey(folder: string, comment: string, signal: AbortSignal): Promise<void> {
  const path = join(folder, privateKeyFile);
  if (await exists(path)) return;
  const temporary = join(folder, '.key');
  await rm(temporary, {force: true});
  await rm(`${temporary}.pub`, {force: true});
  await exec(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', temporary], {
    timeoutMs: 30_000,
    signal,
  });
  // The private half last: it marks the pair as complete.
  await rename(`${temporary}.pub`, `${path}.pub`);
  await rename(temporary, path);
  await syncFolder(folder);
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
