/** Where the readers of formats take their bytes from: memory, a file, or a part of either. */
import {FormatError} from './errors.ts';

export interface ByteSource {
  /** Bytes. */
  readonly size: number;
  /** Exactly `length` bytes from `offset`. Throws {@link FormatError} `truncated` where the source ends before. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** A source over bytes in memory; what it returns is a view, not a copy. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read: async (offset, length) => {
      checkRange(bytes.length, offset, length);
      return bytes.subarray(offset, offset + length);
    },
  };
}

/** The `size` bytes of `source` from `offset` as a source of their own: a partition, for instance. */
export function sliceSource(source: ByteSource, offset: number, size: number): ByteSource {
  checkRange(source.size, offset, size);
  return {
    size,
    read: (at, length) => {
      checkRange(size, at, length);
      return source.read(offset + at, length);
    },
  };
}

export function checkRange(size: number, offset: number, length: number): void {
  const fits = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!fits || offset + length > size) {
    throw new FormatError(
      'truncated',
      `the data ends at byte ${size}, before byte ${offset + length} that it refers to`,
      {
        context: {size, offset, length},
      },
    );
  }
}
