/** Unpacking on the host, bounded by what the index says, and packing again for the kernel image. */
import {promisify} from 'node:util';
import {constants, zstdCompress, zstdDecompress} from 'node:zlib';
import {DamageError} from './pieces.ts';

const decompressAsync = promisify(zstdDecompress);
const compressAsync = promisify(zstdCompress);

/** Where the size of a frame's content is not known from elsewhere. */
const MOST_BYTES = 1 << 20;

/** The `size` bytes of a frame, or at most a megabyte where that is not known. Throws {@link DamageError} with `what` where it holds anything else. */
export async function unpack(
  frame: Uint8Array,
  size: number | undefined,
  what: Readonly<Record<string, unknown>>,
  dictionary?: Uint8Array,
): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await decompressAsync(frame, {
      maxOutputLength: size ?? MOST_BYTES,
      // One chunk is the result itself; many would be kept beside it until they are collected.
      ...(size === undefined ? {} : {chunkSize: Math.max(64, size)}),
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
export function pack(bytes: Uint8Array, level: number): Promise<Uint8Array> {
  return compressAsync(bytes, {
    params: {[constants.ZSTD_c_compressionLevel]: level},
    pledgedSrcSize: bytes.length,
  });
}
