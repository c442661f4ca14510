/** What can be removed: old images, and old entries of the cache. Chooses; the command removes. */
import {readdir, realpath, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {systemErrorCode} from '../services/common/errors.ts';
import {imageFolders} from './images.ts';

/** All images but the current one. What machines were made from stays: they hold the disk by a name of their own. */
export async function prunableImages(images: string): Promise<string[]> {
  const current = await realpath(join(images, 'current')).catch(() => undefined);
  const found: string[] = [];
  for (const name of await imageFolders(images)) {
    const folder = join(images, name);
    if ((await realpath(folder)) !== current) found.push(folder);
  }
  return found;
}

/** Cached roots and steps beyond the newest `keep` of each kind (`image`, `tools`, `base`, `initrd`, ...). */
export async function prunableCache(cache: string, keep: number): Promise<string[]> {
  const found: string[] = [];
  for (const folder of [join(cache, 'roots'), join(cache, 'steps')]) {
    const entries: {readonly name: string; readonly used: number}[] = [];
    for (const name of await list(folder)) {
      // A hidden one is being made right now, by another build.
      if (!name.startsWith('.')) entries.push({name, used: (await stat(join(folder, name))).mtimeMs});
    }
    found.push(...chooseOld(entries, keep).map(name => join(folder, name)));
  }
  return found;
}

/** Names beyond the `keep` last used of each kind: entries are called KIND-HASH. Pure; sorted by name. */
export function chooseOld(
  entries: readonly {readonly name: string; readonly used: number}[],
  keep: number,
): string[] {
  const kinds = new Map<string, {readonly name: string; readonly used: number}[]>();
  for (const entry of entries) {
    const kind = entry.name.replace(/-[0-9a-f]+$/, '');
    kinds.set(kind, [...(kinds.get(kind) ?? []), entry]);
  }
  const old = [...kinds.values()].flatMap(same =>
    same.toSorted((a, b) => b.used - a.used || (a.name < b.name ? -1 : 1)).slice(keep),
  );
  return old.map(({name}) => name).sort();
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
