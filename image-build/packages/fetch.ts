/** Brings all packages of a lock into the store, several at a time. */
import type {ProgressStep} from '../../services/common/progress.ts';
import {ImageError} from '../errors.ts';
import type {LockedPackage} from './lock.ts';
import {packageUrl, type Mirrors} from './mirrors.ts';
import {forEachParallel} from './parallel.ts';
import type {Store, StoreItem} from './store.ts';

const PARALLEL = 8;

export interface FetchResult {
  readonly bytes: number;
  /** Locked packages that the archive no longer has. */
  readonly gone: readonly LockedPackage[];
}

/** Fetches what is missing. Packages that are gone are returned; any other failure stops the rest and is thrown. */
export async function fetchPackages(
  store: Store,
  mirrors: Mirrors,
  packages: readonly LockedPackage[],
  step: ProgressStep,
  signal: AbortSignal,
): Promise<FetchResult> {
  const gone: LockedPackage[] = [];
  let bytes = 0;
  let done = 0;
  await forEachParallel(packages, PARALLEL, signal, async (entry, signal) => {
    try {
      const {fetched} = await store.fetch(storeItem(mirrors, entry), signal);
      bytes += fetched;
    } catch (error) {
      if (!(error instanceof ImageError) || error.code !== 'package-gone') throw error;
      gone.push(entry);
    }
    done += 1;
    step.update(`${done} of ${packages.length}, ${(bytes / 1e6).toFixed(1)} MB fetched`);
  });
  return {bytes, gone};
}

/** What the store is asked for. */
export function storeItem(mirrors: Mirrors, entry: LockedPackage): StoreItem {
  return {
    what: `${entry.name} ${entry.version}`,
    url: packageUrl(mirrors, entry),
    sha256: entry.sha256,
    size: entry.size,
  };
}
