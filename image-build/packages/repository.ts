/** A flat apt repository of exactly the locked packages, made of links into the store. */
import {link, mkdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {exec} from '../../services/common/exec.ts';
import {systemErrorCode} from '../../services/common/errors.ts';
import {writeFileAtomic} from '../../services/common/fs-atomic.ts';
import type {LockedPackage} from './lock.ts';
import type {Store} from './store.ts';

const CONTROL_TIMEOUT_MS = 30_000;
const PARALLEL = 4;

/** Writes `folder` (which must not exist) with `Packages` and one .deb per entry. */
export async function writeRepository(
  folder: string,
  store: Store,
  packages: readonly LockedPackage[],
  signal: AbortSignal,
): Promise<void> {
  await mkdir(folder, {recursive: true});
  const stanzas = new Map<string, string>();
  const queue = [...packages];
  const worker = async () => {
    for (let entry = queue.shift(); entry !== undefined; entry = queue.shift()) {
      const file = fileName(entry);
      await place(store.path(entry.sha256), join(folder, file));
      const control = await controlOf(store, entry, signal);
      stanzas.set(file, `${control.trimEnd()}\nFilename: ./${file}\nSize: ${entry.size}\nSHA256: ${entry.sha256}\n`);
    }
  };
  await Promise.all(Array.from({length: PARALLEL}, worker));
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

async function controlOf(store: Store, entry: LockedPackage, signal: AbortSignal): Promise<string> {
  const cached = `${store.path(entry.sha256)}.control`;
  const known = await readFile(cached, 'utf8').catch(() => undefined);
  if (known !== undefined) return known;
  const {stdout} = await exec(['dpkg-deb', '-f', store.path(entry.sha256)], {timeoutMs: CONTROL_TIMEOUT_MS, signal});
  await writeFileAtomic(cached, stdout, 0o644);
  return stdout;
}

function fileName(entry: LockedPackage): string {
  return `${entry.name}_${entry.version.replaceAll(':', '%3a')}_${entry.architecture}.deb`;
}
