/** Files that appear under their name only after they have been checked. */
import {open, rename, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {ArtefactName, SysextArtefactName} from '../../../services/common/contracts/image.ts';
import {systemErrorCode} from '../../../services/common/errors.ts';
import {syncFolder} from '../../../services/common/fs-atomic.ts';
import {sha256File} from '../../../services/common/hash.ts';
import type {ByteSource} from '../../../services/common/formats/byte-source.ts';
import {FormatError} from '../../../services/common/formats/errors.ts';
import type {ExportedFile} from './exporter.ts';

/**
 * Lets `write` fill a file under a temporary name, then `check` look at it, then gives it its name. Nothing is
 * left behind when either throws. Throws `disk-full`, and what the two throw.
 */
export async function writeChecked(
  target: {readonly folder: string; readonly file: string; readonly name: ArtefactName | SysextArtefactName},
  write: (path: string) => Promise<void>,
  check: (path: string, sha256: string) => Promise<void>,
): Promise<ExportedFile> {
  const {folder, file, name} = target;
  const partial = join(folder, `.${file}.partial`);
  try {
    await write(partial);
    await syncFile(partial);
    const {size} = await stat(partial);
    const sha256 = await sha256File(partial);
    await check(partial, sha256);
    await rename(partial, join(folder, file));
    await syncFolder(folder);
    return {name, file, size, sha256};
  } catch (error) {
    await rm(partial, {force: true});
    if (systemErrorCode(error) !== 'ENOSPC') throw error;
    throw new FormatError('disk-full', `there is no room for ${file} in ${folder}`, {
      cause: error,
      remedy: 'free some space, or choose another output folder',
    });
  }
}

const CHUNK = 1 << 20;
const HOLE = 1 << 16;
const ZEROS = Buffer.alloc(HOLE);

/**
 * Copies `source` to a new file at `path`, leaving holes where it holds zeros, and hands every piece to `onData`
 * (zeros included). Throws ENOSPC and its like as Node does, and AbortError when `signal` fires.
 */
export async function copySparse(
  source: ByteSource,
  path: string,
  onData: (piece: Uint8Array) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const target = await open(path, 'w', 0o644);
  try {
    await target.truncate(source.size);
    for (let offset = 0; offset < source.size; offset += CHUNK) {
      signal?.throwIfAborted();
      const chunk = await source.read(offset, Math.min(CHUNK, source.size - offset));
      onData(chunk);
      for (let at = 0; at < chunk.length; at += HOLE) {
        const block = chunk.subarray(at, at + HOLE);
        if (!isZero(block)) await writeFully(target, block, offset + at);
      }
    }
  } finally {
    await target.close();
  }
}

/** Whether all bytes from `offset` to the end are zero. */
export async function isZeroFrom(
  source: ByteSource,
  offset: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  for (let at = offset; at < source.size; at += HOLE) {
    signal?.throwIfAborted();
    if (!isZero(await source.read(at, Math.min(HOLE, source.size - at)))) return false;
  }
  return true;
}

function isZero(block: Uint8Array): boolean {
  return ZEROS.compare(block, 0, block.length, 0, block.length) === 0;
}

async function writeFully(
  target: Awaited<ReturnType<typeof open>>,
  block: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < block.length) {
    done += (await target.write(block, done, block.length - done, position + done)).bytesWritten;
  }
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
