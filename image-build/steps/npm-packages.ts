/** Unpacks the locked npm tarballs. */
import {extract} from 'tar';
import type {Cache} from '../cache.ts';
import type {LockedTarball} from '../packages/lock.ts';
import {fetchTarball} from '../packages/npm.ts';

/** Package name -> folder that holds `package/`; the tarball's integrity is checked before it is opened. */
export async function unpackTarballs(
  cache: Cache,
  folder: string,
  entries: readonly LockedTarball[],
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const unpacked: Record<string, string> = {};
  for (const entry of entries) {
    unpacked[entry.name] = await cache.ensure('npm', entry.integrity, async work => {
      const tarball = await fetchTarball(folder, entry, signal);
      await extract({file: tarball, cwd: work, strict: true, filter: path => !path.includes('..')});
    });
  }
  return unpacked;
}
