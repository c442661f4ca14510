/** Results of build steps, named by the hash of everything that went into them: there whole, or not at all. */
import {mkdir, mkdtemp, rename, rm, stat, utimes} from 'node:fs/promises';
import {join} from 'node:path';
import {sha256} from '../services/common/hash.ts';

/** Raised when any step changes what it writes for the same input. */
const CACHE_FORMAT = 1;

export interface Cache {
  readonly folder: string;
  /**
   * The folder made by `make(work)` for this `key` (any JSON value), from the cache when it is there. `make`
   * fills an empty folder; when it throws, nothing stays.
   */
  ensure(kind: string, key: unknown, make: (work: string) => Promise<void>): Promise<string>;
}

export function openCache(folder: string): Cache {
  return {
    folder,
    ensure: async (kind, key, make) => {
      const digest = sha256(JSON.stringify([CACHE_FORMAT, kind, key])).slice(0, 16);
      const parent = join(folder, 'steps');
      const target = join(parent, `${kind}-${digest}`);
      if (await stat(target).catch(() => undefined)) {
        const now = new Date();
        await utimes(target, now, now);
        return target;
      }
      await mkdir(parent, {recursive: true});
      const work = await mkdtemp(join(parent, `.${kind}-`));
      try {
        await make(work);
        await rename(work, target);
        return target;
      } finally {
        await rm(work, {recursive: true, force: true});
      }
    },
  };
}
