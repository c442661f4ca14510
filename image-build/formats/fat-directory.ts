/** Folder entries of FAT file systems (Microsoft FAT specification 1.03, chapters 6 and 7). */

export interface FatEntry {
  /** The long name where there is one, else the short one. */
  readonly name: string;
  readonly folder: boolean;
  /** First cluster; 0 for an empty file. */
  readonly cluster: number;
  /** Bytes; 0 for folders. */
  readonly size: number;
}

const ENTRY = 32;
const ATTRIBUTE_VOLUME = 0x08;
const ATTRIBUTE_FOLDER = 0x10;
const ATTRIBUTE_LONG_NAME = 0x0f;
// Where a long-name entry keeps its 13 UTF-16 units.
const UNIT_OFFSETS = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30] as const;

/** The files and folders in the bytes of a folder, without `.`, `..` and the volume's label. */
export function parseDirectory(bytes: Uint8Array): FatEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: FatEntry[] = [];
  let long: {units: number[]; checksum: number} | undefined;
  for (let at = 0; at + ENTRY <= bytes.length; at += ENTRY) {
    const first = view.getUint8(at);
    if (first === 0) break; // nothing follows
    const attributes = view.getUint8(at + 11);
    if (first === 0xe5) {
      long = undefined; // deleted
      continue;
    }
    if ((attributes & 0x3f) === ATTRIBUTE_LONG_NAME) {
      // Parts of a long name stand before their entry, the last part first.
      const units = UNIT_OFFSETS.map(offset => view.getUint16(at + offset, true));
      const checksum = view.getUint8(at + 13);
      const continues = (first & 0x40) === 0 && long?.checksum === checksum;
      long = {units: continues ? [...units, ...(long?.units ?? [])] : units, checksum};
      continue;
    }
    const short = bytes.subarray(at, at + 11);
    const name =
      long?.checksum === shortNameChecksum(short)
        ? longName(long.units)
        : shortName(short, view.getUint8(at + 12));
    long = undefined;
    if ((attributes & ATTRIBUTE_VOLUME) !== 0 || name === '.' || name === '..') continue;
    entries.push({
      name,
      folder: (attributes & ATTRIBUTE_FOLDER) !== 0,
      cluster: view.getUint16(at + 20, true) * 65536 + view.getUint16(at + 26, true),
      size: view.getUint32(at + 28, true),
    });
  }
  return entries;
}

function shortName(bytes: Uint8Array, caseFlags: number): string {
  const text = (part: Uint8Array, lower: boolean) => {
    const name = String.fromCharCode(...part).trimEnd();
    return lower ? name.toLowerCase() : name;
  };
  // Windows and Linux keep "all lower case" of stem and ending in two bits of a reserved byte.
  const stem = text(bytes.subarray(0, 8), (caseFlags & 0x08) !== 0);
  const ending = text(bytes.subarray(8, 11), (caseFlags & 0x10) !== 0);
  return ending === '' ? stem : `${stem}.${ending}`;
}

function longName(units: readonly number[]): string {
  const end = units.indexOf(0);
  return String.fromCharCode(...(end === -1 ? units : units.slice(0, end)));
}

// Specification 7.2: ties the parts of a long name to their entry.
function shortNameChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum = (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff;
  return sum;
}
