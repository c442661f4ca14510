/** Large files: copied in a stream, proven on the way, in their place only when they are what they must be. */
import {createHash, randomBytes} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {mkdir, open, rename, rm, stat} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import type {RepositoryFile} from '../../../common/contracts/release.ts';
import {systemErrorCode} from '../../../common/errors.ts';
import {syncFolder} from '../../../common/fs-atomic.ts';
import {sha256File} from '../../../common/hash.ts';
import {openGet} from '../../../common/http-get.ts';
import {TrustError} from '../../../common/tuf/errors.ts';
import {tooLarge} from '../../../common/tuf/source.ts';

/** A repository's folder, or its address. */
export type Place = {readonly folder: string} | {readonly base: URL};

const STALL_MS = 60_000;

/** False when `folder` has the file already. Throws {@link TrustError}. */
export async function copyFile(
  from: Place,
  file: RepositoryFile,
  folder: string,
  signal: AbortSignal,
): Promise<boolean> {
  const path = join(folder, file.path);
  if (await isProven(path, file)) return false;
  await mkdir(dirname(path), {recursive: true, mode: 0o755});
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    await using handle = await open(temporary, 'wx', 0o644);
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of readPlace(from, file.path, signal)) {
      size += chunk.length;
      if (size > file.size) throw tooLarge(file.path, file.size);
      hash.update(chunk);
      await handle.writeFile(chunk);
    }
    if (size !== file.size || hash.digest('hex') !== file.sha256)
      throw new TrustError('mismatch', `${file.path} is not the file that the release names`);
    await handle.chmod(0o644);
    await handle.sync();
    await rename(temporary, path);
    await syncFolder(dirname(path));
    return true;
  } finally {
    await rm(temporary, {force: true});
  }
}

/** Throws {@link TrustError} `not-found` or `mismatch`. */
export async function checkFile(folder: string, file: RepositoryFile): Promise<void> {
  const path = join(folder, file.path);
  if (await isProven(path, file)) return;
  const there = await stat(path).catch(() => undefined);
  throw there === undefined
    ? new TrustError('not-found', `${path} is missing`)
    : new TrustError('mismatch', `${path} is not the file that the release names`);
}

async function isProven(path: string, file: RepositoryFile): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.size === file.size && (await sha256File(path)) === file.sha256;
}

async function* readPlace(from: Place, path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if ('folder' in from) {
    try {
      for await (const chunk of createReadStream(join(from.folder, path), {highWaterMark: 1 << 20, signal}))
        yield chunk as Uint8Array;
    } catch (error) {
      throw unreadable(`${from.folder}/${path}`, error, signal);
    }
    return;
  }
  const url = new URL(path.split('/').map(encodeURIComponent).join('/'), from.base);
  try {
    const answer = await openGet(url, {signal, stallMs: STALL_MS});
    if (answer.statusCode !== 200) {
      answer.destroy();
      throw new TrustError(
        answer.statusCode === 404 ? 'not-found' : 'refused',
        `${url.href}: HTTP ${answer.statusCode ?? 0}`,
      );
    }
    for await (const chunk of answer) yield Buffer.from(chunk);
  } catch (error) {
    throw unreadable(url.href, error, signal);
  }
}

function unreadable(what: string, error: unknown, signal: AbortSignal): unknown {
  if (error instanceof TrustError) return error;
  if (signal.aborted) return signal.reason;
  const code = systemErrorCode(error);
  return new TrustError(code === 'ENOENT' ? 'not-found' : 'unreachable', `${what} cannot be read`, {
    cause: error,
    remedy: 'check the address, the network and the server; what was copied is kept',
  });
}
