/** Results of build steps, named by the hash of everything that went into them: there whole, or not at all. */
import {stat, utimes} from 'node:fs/promises';
import {join} from 'node:path';
import {systemErrorCode} from '../services/common/errors.ts';
import {sha256} from '../services/common/hash.ts';
import {makeFolderOnce} from './work-folder.ts';

/** Raised when any step changes what it writes for the same input. */
const CACHE_FORMAT = 2;

export interface Cache {
  readonly folder: string;
  /**
   * The folder made by `make(work)` for this `key` (any JSON value), from the cache when it is there. `make`
   * fills an empty folder; when it throws, nothing stays. Several processes may ask at once.
   */
  ensure(kind: string, key: unknown, make: (work: string) => Promise<void>): Promise<string>;
}

export function openCache(folder: string): Cache {
  return {
    folder,
    ensure: async (kind, key, make) => {
      const digest = sha256(JSON.stringify([CACHE_FORMAT, kind, key])).slice(0, 16);
      const target = join(folder, 'steps', `${kind}-${digest}`);
      if (!(await isThere(target))) await makeFolderOnce(target, kind, make);
      // The time of last use, for whoever clears the cache.
      const now = new Date();
      await utimes(target, now, now);
      return target;
    },
  };
}

/** Whether `path` exists; a folder that cannot be read is an error, not an empty cache. */
export async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
