/** One attempt to fetch one file, checked while it arrives. */
import {createHash, randomBytes} from 'node:crypto';
import {open, rename, rm, type FileHandle} from 'node:fs/promises';
import {dirname} from 'node:path';
import {systemErrorCode} from '../../services/common/errors.ts';
import {syncFolder} from '../../services/common/fs-atomic.ts';
import {ImageError} from '../errors.ts';

export interface StoreItem {
  /** For messages: name and version. */
  readonly what: string;
  readonly url: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

export interface DownloadOptions {
  readonly signal: AbortSignal;
  /** Milliseconds without a byte after which the attempt fails. */
  readonly stallMs: number;
}

/**
 * Writes `target` durably when its bytes are those of `item`. Throws {@link ImageError} `package-gone` or
 * `hash-mismatch`, which another attempt would not change; any other error may be worth one.
 */
export async function download(item: StoreItem, target: string, options: DownloadOptions): Promise<void> {
  // Time counts between bytes, not in all: a slow line is not a dead one.
  const stall = new AbortController();
  const timer = setTimeout(() => stall.abort(new Error(`${item.url} sends nothing`)), options.stallMs);
  try {
    const response = await fetch(item.url, {signal: AbortSignal.any([options.signal, stall.signal])});
    if (response.status === 404 || response.status === 410) {
      await response.body?.cancel();
      throw new ImageError('package-gone', `${item.what} is gone from the archive`, {
        remedy: 'run "hawser image lock" and review the difference',
      });
    }
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      throw new Error(`${item.url}: HTTP ${response.status}`);
    }
    const onBytes = () => timer.refresh();
    await keep(target, file => receive(response.body ?? [], item, file, onBytes));
  } finally {
    clearTimeout(timer);
  }
}

/** Copies the body to `file` and compares; reads at most one byte more than the lock promises. */
async function receive(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  item: StoreItem,
  file: FileHandle,
  onBytes: () => void,
): Promise<void> {
  const hash = createHash('sha256');
  let received = 0;
  for await (const chunk of body) {
    onBytes();
    received += chunk.length;
    if (received > item.size) break;
    hash.update(chunk);
    await file.writeFile(chunk);
  }
  // Cut off without an error (a proxy, a server without Content-Length): the next attempt may get it all.
  if (received < item.size) throw new Error(`${item.url}: ended after ${received} of ${item.size} bytes`);
  if (received === item.size && hash.digest('hex') === item.sha256) return;
  throw new ImageError('hash-mismatch', `${item.what} has other bytes than the lock says`, {
    remedy: 'do not use this mirror; name another with --mirror URL',
  });
}

async function keep(target: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const temporary = `${target}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', 0o644);
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
    await syncFolder(dirname(target));
  } finally {
    await rm(temporary, {force: true});
  }
}

/** Whether `error` says that no more fits on the disk or into the quota. */
export function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes(systemErrorCode(error) ?? '');
}
