/** The content-addressed package store: a file is named by its SHA-256 and is there whole or not at all. */
import {createHash, randomBytes} from 'node:crypto';
import {mkdir, open, rename, rm, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {syncFolder} from '../../services/common/fs-atomic.ts';
import {sha256File} from '../../services/common/hash.ts';
import {systemErrorCode} from '../../services/common/errors.ts';
import {ImageError} from '../errors.ts';

export interface Store {
  path(sha256: string): string;
  has(sha256: string): Promise<boolean>;
  /** Fetches `url` unless it is there; throws `hash-mismatch` or `package-gone` (404) and keeps nothing of it. */
  fetch(item: StoreItem, signal: AbortSignal): Promise<{readonly fetched: number}>;
  /** Reads the file again and compares: a store on a bad disk must not poison an image. */
  verify(sha256: string, what: string): Promise<void>;
}

export interface StoreItem {
  readonly what: string;
  readonly url: string;
  readonly sha256: string;
  readonly size: number;
}

const ATTEMPTS = 3;
const FETCH_TIMEOUT_MS = 300_000;

export function openStore(folder: string): Store {
  const path = (sha256: string) => join(folder, sha256.slice(0, 2), sha256);
  const has = async (sha256: string) => {
    try {
      return (await stat(path(sha256))).isFile();
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return false;
      throw error;
    }
  };
  return {
    path,
    has,
    fetch: async (item, signal) => {
      if (await has(item.sha256)) return {fetched: 0};
      await mkdir(dirname(path(item.sha256)), {recursive: true});
      for (let attempt = 1; ; attempt++) {
        try {
          await download(item, path(item.sha256), signal);
          return {fetched: item.size};
        } catch (error) {
          if (error instanceof ImageError || signal.aborted || attempt === ATTEMPTS) throw unreachable(error, item);
        }
      }
    },
    verify: async (sha256, what) => {
      if ((await sha256File(path(sha256))) === sha256) return;
      await rm(path(sha256), {force: true});
      throw new ImageError('hash-mismatch', `${what} in the package store is damaged`, {remedy: 'run again: it is fetched anew'});
    },
  };
}

async function download(item: StoreItem, target: string, signal: AbortSignal): Promise<void> {
  const response = await fetch(item.url, {signal: AbortSignal.any([signal, AbortSignal.timeout(FETCH_TIMEOUT_MS)])});
  if (response.status === 404 || response.status === 410) {
    await response.body?.cancel();
    throw new ImageError('package-gone', `${item.what} is gone from the archive`, {
      remedy: 'run "hawser image lock" and review the difference',
    });
  }
  if (!response.ok || response.body === null) throw new Error(`${item.url}: HTTP ${response.status}`);
  const temporary = `${target}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', 0o644);
    const hash = createHash('sha256');
    try {
      for await (const chunk of response.body) {
        hash.update(chunk);
        await file.write(chunk);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    if (hash.digest('hex') !== item.sha256) {
      throw new ImageError('hash-mismatch', `${item.what} has other bytes than the lock says`, {
        remedy: 'do not use this mirror; name another with --mirror URL',
      });
    }
    await rename(temporary, target);
    await syncFolder(dirname(target));
  } finally {
    await rm(temporary, {force: true});
  }
}

function unreachable(error: unknown, item: StoreItem): unknown {
  if (error instanceof ImageError) return error;
  if (systemErrorCode(error) === 'ENOSPC') {
    return new ImageError('disk-full', `the disk is full: ${item.what} was not stored`, {remedy: 'free some space', cause: error});
  }
  return new ImageError('archive-unreachable', `${item.what} could not be fetched`, {
    remedy: 'check the network or name another mirror with --mirror URL',
    cause: error,
  });
}
