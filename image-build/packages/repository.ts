/** A flat apt repository of exactly the locked packages, made of links into the store. */
import {link, mkdir, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {exec} from '../../services/common/exec.ts';
import {systemErrorCode} from '../../services/common/errors.ts';
import type {LockedPackage} from './lock.ts';
import {forEachParallel} from './parallel.ts';
import type {Store} from './store.ts';

const CONTROL_TIMEOUT_MS = 30_000;
const PARALLEL = 4;

/**
 * Writes `folder` (which must not exist) with `Packages` and one .deb per entry. The bytes are not compared with
 * the lock here: see {@link Store.verify}.
 */
export async function writeRepository(
  folder: string,
  store: Store,
  packages: readonly LockedPackage[],
  signal: AbortSignal,
): Promise<void> {
  await mkdir(folder, {recursive: true});
  const stanzas = new Map<string, string>();
  await forEachParallel(packages, PARALLEL, signal, async (entry, signal) => {
    const deb = store.path(entry.sha256);
    const file = fileName(entry);
    await place(deb, join(folder, file));
    const {stdout} = await exec(['dpkg-deb', '-f', deb], {timeoutMs: CONTROL_TIMEOUT_MS, signal});
    stanzas.set(
      file,
      `${stdout.trimEnd()}\nFilename: ./${file}\nSize: ${entry.size}\nSHA256: ${entry.sha256}\n`,
    );
  });
  const text = [...stanzas.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, stanza]) => stanza);
  await writeFile(join(folder, 'Packages'), text.join('\n'));
}

/** A hard link, or a symbolic one where the store is on another file system. */
async function place(source: string, target: string): Promise<void> {
  try {
    await link(source, target);
  } catch (error) {
    if (systemErrorCode(error) !== 'EXDEV' && systemErrorCode(error) !== 'EPERM') throw error;
    await symlink(source, target);
  }
}

function fileName(entry: LockedPackage): string {
  return `${entry.name}_${entry.version.replaceAll(':', '%3a')}_${entry.architecture}.deb`;
}
