/**
 * The parts of a streamOptimized VMDK (VMware Virtual Disk Format 1.1 and 5.0: "Hosted sparse extents", "Stream-optimized
 * compressed sparse extents"). Numbers are little-endian, offsets count sectors of 512 bytes. Pure.
 */

export const SECTOR = 512;
/** 64 KiB, what every reader of the format expects. */
export const GRAIN_SECTORS = 128;
export const GRAIN = GRAIN_SECTORS * SECTOR;
export const TABLE_ENTRIES = 512;
const DESCRIPTOR_SECTORS = 20;
/** Header and descriptor, up to the first grain. */
export const OVERHEAD_SECTORS = 128;

const MAGIC = 0x564d444b;
const VERSION = 3;
/** Newlines can be checked; grains are compressed; there are markers. */
const FLAGS = 0x30001;
const DEFLATE = 1;
/** The directory's place is in the footer. */
export const DIRECTORY_AT_END = 0xffff_ffff_ffff_ffffn;

export const marker = {endOfStream: 0, grainTable: 1, grainDirectory: 2, footer: 3} as const;

/** The header, and with the directory's offset the footer. */
export function sparseHeader(capacitySectors: number, directory: bigint): Buffer {
  const header = Buffer.alloc(SECTOR);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(VERSION, 4);
  header.writeUInt32LE(FLAGS, 8);
  header.writeBigUInt64LE(BigInt(capacitySectors), 12);
  header.writeBigUInt64LE(BigInt(GRAIN_SECTORS), 20);
  header.writeBigUInt64LE(1n, 28);
  header.writeBigUInt64LE(BigInt(DESCRIPTOR_SECTORS), 36);
  header.writeUInt32LE(TABLE_ENTRIES, 44);
  header.writeBigUInt64LE(0n, 48);
  header.writeBigUInt64LE(directory, 56);
  header.writeBigUInt64LE(BigInt(OVERHEAD_SECTORS), 64);
  // A transfer that changes line ends shows here.
  header.write('\n \r\n', 73, 'latin1');
  header.writeUInt16LE(DEFLATE, 77);
  return header;
}

export interface SparseHeader {
  readonly capacitySectors: number;
  readonly directory: bigint;
}

/** Throws RangeError for what is not a streamOptimized extent of this kind. */
export function parseSparseHeader(header: Buffer): SparseHeader {
  const fits =
    header.readUInt32LE(0) === MAGIC &&
    header.readUInt32LE(4) === VERSION &&
    header.readUInt32LE(8) === FLAGS &&
    header.readBigUInt64LE(20) === BigInt(GRAIN_SECTORS) &&
    header.readUInt32LE(44) === TABLE_ENTRIES &&
    header.toString('latin1', 73, 77) === '\n \r\n' &&
    header.readUInt16LE(77) === DEFLATE;
  if (!fits) throw new RangeError('not a streamOptimized VMDK');
  return {capacitySectors: Number(header.readBigUInt64LE(12)), directory: header.readBigUInt64LE(56)};
}

/** A grain as it is stored: its place on the disk, its length, the bytes, filled up to whole sectors. */
export function grainRecord(sector: number, compressed: Uint8Array): Buffer {
  const record = Buffer.alloc(roundUp(12 + compressed.length, SECTOR));
  record.writeBigUInt64LE(BigInt(sector), 0);
  record.writeUInt32LE(compressed.length, 8);
  record.set(compressed, 12);
  return record;
}

/** What comes next, with how many sectors it has. */
export function metadataMarker(type: (typeof marker)[keyof typeof marker], sectors: number): Buffer {
  const record = Buffer.alloc(SECTOR);
  record.writeBigUInt64LE(BigInt(sectors), 0);
  record.writeUInt32LE(type, 12);
  return record;
}

/** Entries of four bytes, filled up to whole sectors. */
export function tableOf(entries: readonly number[]): Buffer {
  const table = Buffer.alloc(roundUp(entries.length * 4, SECTOR));
  entries.forEach((entry, index) => table.writeUInt32LE(entry, index * 4));
  return table;
}

/** The text that says what the extent is. `contentId`: 32 bits that change with the contents. */
export function descriptor(name: string, capacitySectors: number, contentId: string): Buffer {
  const [heads, sectors] = [255, 63];
  const text = [
    '# Disk DescriptorFile',
    'version=1',
    `CID=${contentId}`,
    'parentCID=ffffffff',
    'createType="streamOptimized"',
    '',
    '# Extent description',
    `RDONLY ${capacitySectors} SPARSE "${name}"`,
    '',
    '# The Disk Data Base',
    '#DDB',
    '',
    'ddb.virtualHWVersion = "10"',
    'ddb.adapterType = "lsilogic"',
    `ddb.geometry.cylinders = "${Math.min(16_383, Math.floor(capacitySectors / (heads * sectors)))}"`,
    `ddb.geometry.heads = "${heads}"`,
    `ddb.geometry.sectors = "${sectors}"`,
    '',
  ].join('\n');
  const block = Buffer.alloc(DESCRIPTOR_SECTORS * SECTOR);
  block.write(text, 'latin1');
  return block;
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
