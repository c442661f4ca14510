/**
 * How to make a piece of the kernel image from the new /usr: an archive of the initrd holds files that /usr holds too,
 * and compressing it again gives the same bytes (which is checked by its hash; where another zstd gives others, the
 * piece is fetched).
 */
import {createReader, createWriter} from './bytes.ts';

/** `literal`: bytes of the recipe. `usr`: bytes of the /usr image. */
export type RecipePart =
  | {readonly kind: 'literal'; readonly bytes: Uint8Array}
  | {readonly kind: 'usr'; readonly offset: number; readonly size: number};

/** zstd's level, and the logarithm of the bytes that it looks back. */
export interface Packing {
  readonly level: number;
  readonly windowLog: number;
}

/**
 * How the image build packs the archives of an initrd, and a host packs them again. The window bounds what that takes on
 * the host: 12 MB for any archive, where zstd would take 45 MB for one of some megabytes; it makes the initrd 0.3 % larger.
 */
export const archivePacking: Packing = {level: 12, windowLog: 20};

/** The most that a recipe may ask of a host: it is believed only when its result is right. */
export const mostPacking: Packing = {level: 15, windowLog: 20};

/** Bytes of one archive, unpacked: it is made in memory. */
export const mostArchiveBytes = 16 * 1024 ** 2;

export interface Recipe extends Packing {
  /** Bytes before compression. */
  readonly size: number;
  readonly parts: readonly RecipePart[];
}

export function writeRecipe({level, windowLog, size, parts}: Recipe): Uint8Array {
  const out = createWriter();
  out.number(level);
  out.number(windowLog);
  out.number(size);
  out.number(parts.length);
  for (const part of parts) {
    if (part.kind === 'literal') {
      out.number(part.bytes.length * 2);
      out.bytes(part.bytes);
    } else {
      out.number(part.size * 2 + 1);
      out.number(part.offset);
    }
  }
  return out.take();
}

export function readRecipe(bytes: Uint8Array): Recipe {
  const reader = createReader(bytes, 'uki');
  const [level, windowLog] = [reader.number(), reader.number()];
  const [size, count] = [reader.number(), reader.number()];
  const parts = Array.from({length: Math.min(count, bytes.length)}, (): RecipePart => {
    const tag = reader.number();
    const length = Math.floor(tag / 2);
    return tag % 2 === 0
      ? {kind: 'literal', bytes: reader.bytes(length)}
      : {kind: 'usr', size: length, offset: reader.number()};
  });
  return {level, windowLog, size, parts};
}
