/** The newc archives of an initrd (Linux, Documentation/driver-api/early-userspace/buffer-format.rst). */
import {FormatError} from './errors.ts';

export interface CpioEntry {
  readonly name: string;
  /** The fields of the header in their order, as numbers; names in {@link cpioField}. */
  readonly fields: readonly number[];
  readonly content: Uint8Array;
}

/** Positions in {@link CpioEntry.fields}. */
export const cpioField = {ino: 0, mode: 1, links: 4, mtime: 5, size: 6, nameSize: 11} as const;

const HEADER = 110;
const MAGIC = '070701';
const TRAILER = 'TRAILER!!!';

/** The entries of one archive, without its trailer. Throws {@link FormatError} `bad-cpio`. */
export function readCpio(bytes: Uint8Array): CpioEntry[] {
  const text = new TextDecoder('latin1');
  const entries: CpioEntry[] = [];
  for (let at = 0; ;) {
    const header = text.decode(bytes.subarray(at, at + HEADER));
    if (header.length < HEADER || !header.startsWith(MAGIC)) bad('it has no header where one must be');
    const fields = Array.from({length: 13}, (_, index) =>
      Number.parseInt(header.slice(6 + index * 8, 14 + index * 8), 16),
    );
    if (fields.some(field => Number.isNaN(field))) bad('a header has a field that is no number');
    const nameSize = fields[cpioField.nameSize] ?? 0;
    const size = fields[cpioField.size] ?? 0;
    const name = new TextDecoder().decode(bytes.subarray(at + HEADER, at + HEADER + nameSize - 1));
    const from = aligned(at + HEADER + nameSize);
    if (from + size > bytes.length) bad('it is cut off');
    if (name === TRAILER) return entries;
    entries.push({name, fields, content: bytes.subarray(from, from + size)});
    at = aligned(from + size);
  }
}

/** One whole archive, trailer included. */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const trailer = {name: TRAILER, fields: [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], content: new Uint8Array()};
  const all = [...entries, trailer].map(entry => ({...entry, name: new TextEncoder().encode(entry.name)}));
  const sizeOf = (entry: (typeof all)[number]) =>
    aligned(HEADER + entry.name.length + 1) + aligned(entry.content.length);
  const bytes = new Uint8Array(all.reduce((sum, entry) => sum + sizeOf(entry), 0));
  let at = 0;
  for (const entry of all) {
    const fields = [...entry.fields];
    fields[cpioField.size] = entry.content.length;
    fields[cpioField.nameSize] = entry.name.length + 1;
    const header = MAGIC + fields.map(field => field.toString(16).padStart(8, '0').toUpperCase()).join('');
    bytes.set(new TextEncoder().encode(header), at);
    bytes.set(entry.name, at + HEADER);
    bytes.set(entry.content, at + aligned(HEADER + entry.name.length + 1));
    at += sizeOf(entry);
  }
  return bytes;
}

function aligned(at: number): number {
  return Math.ceil(at / 4) * 4;
}

function bad(why: string): never {
  throw new FormatError('bad-cpio', `the cpio archive cannot be read: ${why}`);
}
