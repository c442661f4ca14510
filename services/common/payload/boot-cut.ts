/**
 * Cuts a boot file (kernel image, boot loader) where its content changes hands: at sections, within `.initrd` at each
 * zstd frame, since an initrd is a row of compressed archives, and elsewhere after each megabyte of a section. Both
 * sides cut by this, so equal parts are found by their hashes, wherever they stand.
 */
import {sliceSource, type ByteSource} from '../formats/byte-source.ts';
import {parsePe} from '../formats/pe.ts';
import type {Extent} from './layout.ts';

const zstdMagic = 0xfd2fb528;
/** Headers of a PE image with all its section table: far more than ukify writes. */
const HEADERS = 16_384;
/** Bounds what either side holds in memory for one piece; archives of an initrd are bounded by what is in it. */
const MOST = 1 << 20;

/** Pieces of a PE image, in order and without a gap. Throws {@link FormatError} as `parsePe`. */
export async function cutBootFile(file: ByteSource): Promise<Extent[]> {
  const {sections} = parsePe(await file.read(0, Math.min(file.size, HEADERS)), file.size);
  const cuts = new Set([0, file.size]);
  for (const {name, rawOffset, rawSize, virtualSize} of sections) {
    if (rawSize === 0) continue;
    const size = Math.min(rawSize, virtualSize);
    cuts
      .add(rawOffset)
      .add(rawOffset + size)
      .add(rawOffset + rawSize);
    if (name === '.initrd') {
      for (const end of await frameEnds(sliceSource(file, rawOffset, size))) cuts.add(rawOffset + end);
    } else for (let at = MOST; at < size; at += MOST) cuts.add(rawOffset + at);
  }
  const sorted = [...cuts].toSorted((a, b) => a - b);
  return sorted.slice(1).map((end, index) => {
    const offset = sorted[index] ?? 0;
    return {offset, size: end - offset};
  });
}

/** Ends of the zstd frames that stand in a row (RFC 8878, 3.1.1), up to the first thing that is none. */
export async function frameEnds(source: ByteSource): Promise<number[]> {
  const ends: number[] = [];
  for (let at: number | undefined = 0; ;) {
    at = await frameEnd(source, at);
    if (at === undefined) return ends;
    ends.push(at);
  }
}

async function frameEnd(source: ByteSource, from: number): Promise<number | undefined> {
  if (from + 9 > source.size) return undefined;
  const head = viewOf(await source.read(from, 5));
  if (head.getUint32(0, true) !== zstdMagic) return undefined;
  const descriptor = head.getUint8(4);
  const single = (descriptor & 32) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const contentSize = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  let at = from + 5 + (single ? 0 : 1) + dictionary + contentSize;
  for (;;) {
    if (at + 3 > source.size) return undefined;
    const block = viewOf(await source.read(at, 3));
    const header = block.getUint16(0, true) | (block.getUint8(2) << 16);
    // An RLE block (type 1) holds one byte, whatever it unpacks to.
    at += 3 + (((header >> 1) & 3) === 1 ? 1 : header >> 3);
    if ((header & 1) === 0) continue;
    at += (descriptor & 4) === 0 ? 0 : 4;
    return at <= source.size ? at : undefined;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
