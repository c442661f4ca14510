/** What folders take up on disk, and what removing them would free. */
import {lstat} from 'node:fs/promises';
import {join} from 'node:path';
import {walk} from './steps/walk.ts';

export interface Usage {
  /** Bytes of allocated blocks; a file with several names counts once, a hole not at all. */
  readonly bytes: number;
  /** The part of `bytes` that goes away with the folders: what has no other name elsewhere. */
  readonly freed: number;
}

/** Measures `paths` together. Missing ones count nothing. */
export async function measureUsage(paths: readonly string[]): Promise<Usage> {
  const files = new Map<string, {bytes: number; links: number; seen: number}>();
  for (const path of paths) {
    const root = await lstat(path).catch(() => undefined);
    if (root === undefined) continue;
    const names = root.isDirectory() ? ['', ...(await walk(path))] : [''];
    for (const name of names) {
      const info = await lstat(join(path, name)).catch(() => undefined);
      if (info === undefined) continue;
      const key = `${info.dev}:${info.ino}`;
      const known = files.get(key);
      // A folder has a link more for itself and each folder in it; it has one name all the same.
      const links = info.isDirectory() ? 1 : info.nlink;
      if (known === undefined) files.set(key, {bytes: info.blocks * 512, links, seen: 1});
      else known.seen += 1;
    }
  }
  let bytes = 0;
  let freed = 0;
  for (const file of files.values()) {
    bytes += file.bytes;
    if (file.seen >= file.links) freed += file.bytes;
  }
  return {bytes, freed};
}
