/** A small PE32+ image in memory, written from the PE Format specification. */

export interface Section {
  readonly name: string;
  readonly content: Uint8Array;
}

export const peOffsets = {
  coff: 0x80,
  optional: 0x98,
  checksum: 0x98 + 64,
  headersSize: 0x98 + 60,
  directories: 0x98 + 112,
} as const;
/** Offset of the certificate table's data directory entry. */
export const certificateEntry = peOffsets.directories + 4 * 8;
const OPTIONAL_SIZE = 112 + 16 * 8;
export const sectionTable = peOffsets.optional + OPTIONAL_SIZE;
const FILE_ALIGNMENT = 512;

export function buildPe(sections: readonly Section[], tail: Uint8Array = new Uint8Array()): Uint8Array {
  const headersSize = align(sectionTable + sections.length * 40);
  const sizes = sections.map(section => align(section.content.length));
  const image = new Uint8Array(headersSize + sizes.reduce((sum, size) => sum + size, 0) + tail.length);
  const view = new DataView(image.buffer);
  image.set([0x4d, 0x5a]);
  view.setUint32(0x3c, peOffsets.coff, true);
  image.set([0x50, 0x45, 0, 0], peOffsets.coff);
  view.setUint16(peOffsets.coff + 4, 0x8664, true);
  view.setUint16(peOffsets.coff + 6, sections.length, true);
  view.setUint16(peOffsets.coff + 20, OPTIONAL_SIZE, true);
  view.setUint16(peOffsets.coff + 22, 0x22e, true);
  view.setUint16(peOffsets.optional, 0x20b, true);
  view.setUint32(peOffsets.optional + 32, 4096, true);
  view.setUint32(peOffsets.optional + 36, FILE_ALIGNMENT, true);
  view.setUint32(peOffsets.headersSize, headersSize, true);
  view.setUint16(peOffsets.optional + 68, 10, true);
  view.setUint32(peOffsets.directories - 4, 16, true);
  let raw = headersSize;
  for (const [index, section] of sections.entries()) {
    const at = sectionTable + index * 40;
    image.set(new TextEncoder().encode(section.name), at);
    view.setUint32(at + 8, section.content.length, true);
    view.setUint32(at + 12, 0x1000 * (index + 1), true);
    view.setUint32(at + 16, sizes[index] ?? 0, true);
    view.setUint32(at + 20, raw, true);
    image.set(section.content, raw);
    raw += sizes[index] ?? 0;
  }
  view.setUint32(peOffsets.optional + 56, 0x1000 * (sections.length + 1), true);
  image.set(tail, raw);
  return image;
}

/** A certificate table of one entry with `content`. */
export function certificateTable(content: Uint8Array): Uint8Array {
  const size = Math.ceil((8 + content.length) / 8) * 8;
  const table = new Uint8Array(size);
  const view = new DataView(table.buffer);
  view.setUint32(0, size, true);
  view.setUint16(4, 0x200, true);
  view.setUint16(6, 2, true);
  table.set(content, 8);
  return table;
}

function align(size: number): number {
  return Math.ceil(size / FILE_ALIGNMENT) * FILE_ALIGNMENT;
}
