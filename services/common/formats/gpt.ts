/**
 * Reader of GUID partition tables (UEFI Specification 2.10, chapter 5). Both copies of the table are read and
 * must agree; every range is checked before it is used.
 */
import type {ByteSource} from './byte-source.ts';
import {crc32} from './crc32.ts';
import {FormatError} from './errors.ts';
import {guidFromBytes} from './guid.ts';

export interface GptPartition {
  /** As the kernel counts: the first entry is 1. */
  readonly number: number;
  /** Lower-case GUIDs. */
  readonly type: string;
  readonly uuid: string;
  readonly label: string;
  readonly attributes: bigint;
  readonly firstLba: number;
  /** Inclusive. */
  readonly lastLba: number;
  /** Bytes from the start of the disk. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

export interface Gpt {
  readonly uuid: string;
  /** Bytes. */
  readonly sectorSize: number;
  readonly firstUsableLba: number;
  readonly lastUsableLba: number;
  readonly partitions: readonly GptPartition[];
}

/** Discoverable Partitions Specification: attribute bit 60 marks a partition read-only. */
export const readOnlyAttribute = 1n << 60n;

interface Header {
  readonly currentLba: number;
  readonly otherLba: number;
  readonly firstUsableLba: number;
  readonly lastUsableLba: number;
  readonly uuid: string;
  readonly entriesLba: number;
  readonly entryCount: number;
  readonly entrySize: number;
  readonly entriesCrc: number;
}

const SIGNATURE = 'EFI PART';
const UNUSED_TYPE = '00000000-0000-0000-0000-000000000000';
const HEADER_SIZE = 92;
// UEFI asks for room for 128 entries; far more than that is a sign of garbage.
const MAX_ENTRIES_BYTES = 1 << 20;
// 512 TiB of 512-byte sectors: far beyond any disk, and its byte offsets still are exact numbers.
const MAX_LBA = 1n << 40n;

/**
 * Reads the partition table of a disk. Throws {@link FormatError}: `no-gpt`, `truncated`, `bad-gpt-header`,
 * `bad-gpt-checksum`, `gpt-copies-differ`, or `bad-partition` for one that is out of range or overlaps another.
 */
export async function readGpt(disk: ByteSource, sectorSize = 512): Promise<Gpt> {
  const primary = await readHeader(disk, 1, sectorSize, 'primary');
  const backup = await readHeader(disk, primary.otherLba, sectorSize, 'backup');
  const entries = await readEntries(disk, primary, sectorSize, 'primary');
  await readEntries(disk, backup, sectorSize, 'backup');
  const agree =
    backup.otherLba === primary.currentLba &&
    backup.uuid === primary.uuid &&
    backup.firstUsableLba === primary.firstUsableLba &&
    backup.lastUsableLba === primary.lastUsableLba &&
    backup.entryCount === primary.entryCount &&
    backup.entrySize === primary.entrySize &&
    backup.entriesCrc === primary.entriesCrc;
  if (!agree)
    throw new FormatError('gpt-copies-differ', 'the two copies of the partition table do not agree');
  const partitions = parseEntries(entries, primary, sectorSize);
  checkPartitions(partitions, primary);
  return {
    uuid: primary.uuid,
    sectorSize,
    firstUsableLba: primary.firstUsableLba,
    lastUsableLba: primary.lastUsableLba,
    partitions,
  };
}

/** The one partition that fits `wanted`. Throws {@link FormatError} `no-such-partition` for none or several. */
export function findPartition(
  gpt: Gpt,
  wanted: Partial<Pick<GptPartition, 'type' | 'uuid' | 'label'>>,
): GptPartition {
  const found = gpt.partitions.filter(
    one =>
      (wanted.type === undefined || one.type === wanted.type) &&
      (wanted.uuid === undefined || one.uuid === wanted.uuid) &&
      (wanted.label === undefined || one.label === wanted.label),
  );
  const [first] = found;
  if (first === undefined || found.length > 1) {
    throw new FormatError(
      'no-such-partition',
      `the disk has ${found.length} partitions where exactly one was looked for`,
      {
        context: {wanted},
      },
    );
  }
  return first;
}

async function readHeader(disk: ByteSource, lba: number, sectorSize: number, copy: string): Promise<Header> {
  const bytes = await disk.read(lba * sectorSize, sectorSize);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (String.fromCharCode(...bytes.subarray(0, 8)) !== SIGNATURE) {
    throw new FormatError('no-gpt', `there is no ${copy} partition table at sector ${lba}`);
  }
  const headerSize = view.getUint32(12, true);
  if (headerSize < HEADER_SIZE || headerSize > sectorSize) badHeader(copy, 'a size that is not allowed');
  const checked = new Uint8Array(bytes.subarray(0, headerSize));
  checked.fill(0, 16, 20); // UEFI 5.3.2: the checksum is computed with its own field zero
  if (crc32(checked) !== view.getUint32(16, true)) {
    throw new FormatError('bad-gpt-checksum', `the ${copy} partition table header fails its checksum`);
  }
  const header: Header = {
    currentLba: lbaAt(view, 24),
    otherLba: lbaAt(view, 32),
    firstUsableLba: lbaAt(view, 40),
    lastUsableLba: lbaAt(view, 48),
    uuid: guidFromBytes(bytes, 56),
    entriesLba: lbaAt(view, 72),
    entryCount: view.getUint32(80, true),
    entrySize: view.getUint32(84, true),
    entriesCrc: view.getUint32(88, true),
  };
  if (header.currentLba !== lba) badHeader(copy, 'the number of another sector');
  if (header.firstUsableLba > header.lastUsableLba) badHeader(copy, 'no usable sectors');
  // UEFI 5.3.2: the size of an entry is 128 times a power of two.
  const powerOfTwo = header.entrySize >= 128 && Number.isInteger(Math.log2(header.entrySize));
  if (!powerOfTwo || header.entryCount === 0 || header.entryCount * header.entrySize > MAX_ENTRIES_BYTES) {
    badHeader(copy, 'entries of a number or size that is not allowed');
  }
  return header;
}

async function readEntries(
  disk: ByteSource,
  header: Header,
  sectorSize: number,
  copy: string,
): Promise<Uint8Array> {
  const bytes = await disk.read(header.entriesLba * sectorSize, header.entryCount * header.entrySize);
  if (crc32(bytes) !== header.entriesCrc) {
    throw new FormatError('bad-gpt-checksum', `the ${copy} partition entries fail their checksum`);
  }
  return bytes;
}

function parseEntries(bytes: Uint8Array, header: Header, sectorSize: number): GptPartition[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const partitions: GptPartition[] = [];
  for (let index = 0; index < header.entryCount; index += 1) {
    const at = index * header.entrySize;
    const type = guidFromBytes(bytes, at);
    if (type === UNUSED_TYPE) continue;
    const firstLba = lbaAt(view, at + 32);
    const lastLba = lbaAt(view, at + 40);
    const label = new TextDecoder('utf-16le').decode(bytes.subarray(at + 56, at + 128));
    partitions.push({
      number: index + 1,
      type,
      uuid: guidFromBytes(bytes, at + 16),
      label: label.split('\0', 1)[0] ?? '',
      attributes: view.getBigUint64(at + 48, true),
      firstLba,
      lastLba,
      offset: firstLba * sectorSize,
      size: (lastLba - firstLba + 1) * sectorSize,
    });
  }
  return partitions;
}

function checkPartitions(partitions: readonly GptPartition[], header: Header): void {
  let end = -1;
  for (const one of partitions.toSorted((a, b) => a.firstLba - b.firstLba)) {
    const inside = one.firstLba >= header.firstUsableLba && one.lastLba <= header.lastUsableLba;
    if (!inside || one.lastLba < one.firstLba) {
      throw new FormatError('bad-partition', `partition ${one.number} lies outside the usable sectors`, {
        context: {...one},
      });
    }
    if (one.firstLba <= end) {
      throw new FormatError('bad-partition', `partition ${one.number} overlaps another`, {context: {...one}});
    }
    end = one.lastLba;
  }
}

function lbaAt(view: DataView, offset: number): number {
  const value = view.getBigUint64(offset, true);
  if (value >= MAX_LBA) {
    throw new FormatError('bad-gpt-header', 'the partition table names a sector beyond any disk');
  }
  return Number(value);
}

function badHeader(copy: string, why: string): never {
  throw new FormatError('bad-gpt-header', `the ${copy} partition table header has ${why}`);
}
