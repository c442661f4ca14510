/**
 * Unpacking on the host, bounded by what the index says, and packing again for the kernel image. Both block: each thread
 * of Node's pool would keep for itself the memory that it once needed, and staging waits for the result anyway.
 */
import {constants, zstdCompressSync, zstdDecompressSync} from 'node:zlib';
import type {Packing} from '../../common/payload/recipe.ts';
import {DamageError} from './pieces.ts';

/** Where the size of a frame's content is not known from elsewhere. */
const MOST_BYTES = 1 << 20;
/** Below this it is not worth a call. */
const RELEASED_BYTES = 128 * 1024;

/** The `size` bytes of a frame, or at most a megabyte where that is not known. Throws {@link DamageError} with `what` where it holds anything else. */
export function unpack(
  frame: Uint8Array,
  size: number | undefined,
  what: Readonly<Record<string, unknown>>,
  dictionary?: Uint8Array,
): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = zstdDecompressSync(frame, {
      maxOutputLength: size ?? MOST_BYTES,
      // One chunk that is not filled is the result itself; a full one makes zlib take a second, many would be joined.
      ...(size === undefined ? {} : {chunkSize: Math.max(64, size + 1)}),
      params: {[constants.ZSTD_d_windowLogMax]: 25},
      ...(dictionary === undefined
        ? {}
        : {dictionary: Buffer.from(dictionary.buffer, dictionary.byteOffset, dictionary.length)}),
    });
  } catch {
    throw new DamageError(what);
  }
  if (size !== undefined && bytes.length !== size) throw new DamageError(what);
  return bytes;
}

/** As the image build packs the archives of an initrd. */
export function pack(bytes: Uint8Array, {level, windowLog}: Packing): Uint8Array {
  return zstdCompressSync(bytes, {
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_windowLog]: windowLog,
    },
    pledgedSrcSize: bytes.length,
  });
}

/**
 * Gives the memory of `bytes` back at once, if they have it for themselves. V8 does not count what lies outside of its
 * heap until that is 64 MB more, which is half of what an update may take. Nothing may use `bytes` any more.
 */
export function release(bytes: Uint8Array): void {
  const {buffer} = bytes;
  // Small ones lie in a pool that others use too (Buffer.poolSize).
  if (bytes.length < RELEASED_BYTES || !(buffer instanceof ArrayBuffer) || buffer.detached) return;
  buffer.transfer(0);
}
