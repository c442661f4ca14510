/** The content-addressed package store: a file is named by its SHA-256 and is there whole or not at all. */
import {mkdir, readdir, rm, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {sha256File} from '../../services/common/hash.ts';
import {systemErrorCode} from '../../services/common/errors.ts';
import {ImageError} from '../errors.ts';
import {download, isFull, type StoreItem} from './download.ts';

export type {StoreItem} from './download.ts';

export interface Store {
  path(sha256: string): string;
  has(sha256: string): Promise<boolean>;
  /**
   * Fetches `url` unless the file is there with the right size. Throws {@link ImageError} and keeps nothing:
   * `hash-mismatch`, `package-gone` (404 or 410), `disk-full`, or `archive-unreachable` after three attempts.
   */
  fetch(item: StoreItem, signal: AbortSignal): Promise<{readonly fetched: number}>;
  /**
   * Reads the file again and compares: a store on a bad disk must not poison an image. A damaged file is removed
   * before `hash-mismatch` is thrown.
   */
  verify(sha256: string, what: string): Promise<void>;
}

export interface StoreOptions {
  /** Milliseconds before the second attempt; twice as long before the third. */
  readonly retryDelayMs?: number;
  /** Milliseconds without a byte after which an attempt is given up. */
  readonly stallMs?: number;
}

const ATTEMPTS = 3;
const RETRY_DELAY_MS = 1000;
const STALL_MS = 60_000;
const STALE_MS = 86_400_000;

export function openStore(folder: string, options: StoreOptions = {}): Store {
  const {retryDelayMs = RETRY_DELAY_MS, stallMs = STALL_MS} = options;
  const path = (sha256: string) => join(folder, sha256.slice(0, 2), sha256);
  /** What this process fetches now: tools and image share packages. */
  const running = new Map<string, Promise<number>>();
  const fetchMissing = async (item: StoreItem, signal: AbortSignal): Promise<number> => {
    const target = path(item.sha256);
    if ((await sizeOf(target)) === item.size) return 0;
    await mkdir(dirname(target), {recursive: true});
    await sweep(dirname(target));
    for (let attempt = 1; ; attempt++) {
      try {
        await download(item, target, {signal, stallMs});
        return item.size;
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof ImageError) throw error;
        if (isFull(error) || attempt === ATTEMPTS) throw fetchError(error, item);
      }
      await sleep(retryDelayMs * attempt, undefined, {signal});
    }
  };
  return {
    path,
    has: async sha256 => (await sizeOf(path(sha256))) !== undefined,
    fetch: async (item, signal) => {
      const current = running.get(item.sha256);
      if (current !== undefined) {
        await current;
        return {fetched: 0};
      }
      const started = fetchMissing(item, signal);
      running.set(item.sha256, started);
      try {
        return {fetched: await started};
      } finally {
        running.delete(item.sha256);
      }
    },
    verify: async (sha256, what) => {
      if ((await sizeOf(path(sha256))) === undefined) {
        throw new ImageError('hash-mismatch', `${what} is not in the package store`, {
          remedy: 'run again: it is fetched anew',
        });
      }
      if ((await sha256File(path(sha256))) === sha256) return;
      await rm(path(sha256), {force: true});
      throw new ImageError('hash-mismatch', `${what} in the package store is damaged`, {
        remedy: 'run again: it is fetched anew',
      });
    },
  };
}

/** Bytes of a plain file, or undefined when there is none. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const info = await stat(path);
    return info.isFile() ? info.size : undefined;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Removes what killed downloads left a day ago or earlier; a younger one may belong to another process. */
async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.tmp')) continue;
    const path = join(folder, name);
    const info = await stat(path).catch(() => undefined);
    if (info !== undefined && Date.now() - info.mtimeMs > STALE_MS) await rm(path, {force: true});
  }
}

function fetchError(error: unknown, item: StoreItem): ImageError {
  if (isFull(error)) {
    return new ImageError('disk-full', `the disk is full: ${item.what} was not stored`, {
      remedy: 'free some space',
      cause: error,
    });
  }
  return new ImageError('archive-unreachable', `${item.what} could not be fetched from ${item.url}`, {
    remedy: 'check the network or name another mirror with --mirror URL',
    cause: error,
  });
}
