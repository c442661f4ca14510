/** SHA-256 of a large sparse file: its holes are hashed as the zeros that they stand for, without reading them. */
import {createHash} from 'node:crypto';
import {open, stat, type FileHandle} from 'node:fs/promises';
import {Type} from 'typebox';
import {exec, ExecError} from '../../services/common/exec.ts';
import {parseJson} from '../../services/common/parse.ts';
import {FormatError} from '../../services/common/formats/errors.ts';

const MAP_TIMEOUT_MS = 60_000;
const CHUNK = 4 << 20;

const Extents = Type.Array(
  Type.Object({start: Type.Integer(), length: Type.Integer(), zero: Type.Boolean()}),
);

export interface Extent {
  /** Bytes. */
  readonly start: number;
  readonly length: number;
  /** True where the file system says that this is a hole. */
  readonly zero: boolean;
}

/** Lower-case hex; the same value as of a plain read. Throws Node's system errors and AbortError. */
export async function sha256Sparse(path: string, signal: AbortSignal | undefined): Promise<string> {
  const extents = await mapExtents(path, signal);
  const hash = createHash('sha256');
  const zeros = Buffer.alloc(CHUNK);
  const buffer = Buffer.alloc(CHUNK);
  const file = await open(path, 'r');
  try {
    for (const {start, length, zero} of extents) {
      for (let done = 0; done < length;) {
        signal?.throwIfAborted();
        const size = Math.min(CHUNK, length - done);
        if (!zero) await readFully(file, buffer.subarray(0, size), start + done, path);
        hash.update((zero ? zeros : buffer).subarray(0, size));
        done += size;
        // Zeros need no waiting for the disk: without this nothing else would run until the hole ends.
        if (zero) await new Promise<void>(resolve => void setImmediate(resolve));
      }
    }
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

/** Where data and holes are (SEEK_HOLE, which Node lacks, by qemu-img); all of it is data where there is no qemu-img. */
export async function mapExtents(path: string, signal: AbortSignal | undefined): Promise<readonly Extent[]> {
  const {size} = await stat(path);
  const whole = [{start: 0, length: size, zero: false}];
  // qemu-img counts in sectors.
  if (size % 512 !== 0) return whole;
  try {
    const {stdout} = await exec(['qemu-img', 'map', '--output=json', '-f', 'raw', path], {
      timeoutMs: MAP_TIMEOUT_MS,
      signal,
    });
    const extents = parseJson(Extents, stdout, 'the output of qemu-img map');
    let end = 0;
    for (const one of extents) {
      if (one.start !== end) return whole;
      end += one.length;
    }
    return end === size ? extents : whole;
  } catch (error) {
    if (error instanceof ExecError && error.code === 'not-found') return whole;
    throw error;
  }
}

async function readFully(file: FileHandle, target: Buffer, position: number, path: string): Promise<void> {
  for (let done = 0; done < target.length;) {
    const {bytesRead} = await file.read(target, done, target.length - done, position + done);
    if (bytesRead === 0)
      throw new FormatError('truncated', 'a file became shorter while it was read', {context: {path}});
    done += bytesRead;
  }
}
