/**
 * New labels and UUIDs in a GUID partition table (UEFI 2.10, chapter 5), as writes in two groups. Between them the disk
 * is flushed: at any power cut one of the two copies is whole, and which one is old or new. (The tools at hand write both
 * copies without a flush between them, so a cache that loses writes can lose both.) Sizes and places never change.
 */
import {crc32} from '../common/formats/crc32.ts';
import {guidFromBytes, guidToBytes} from '../common/formats/guid.ts';
import {UpdateAgentError} from './errors.ts';
import type {PartitionChange, PartitionFact} from './slots.ts';

/** The fields of a header that matter here. */
export interface GptHeader {
  readonly bytes: Uint8Array;
  readonly currentLba: number;
  readonly otherLba: number;
  readonly entriesLba: number;
  readonly entryCount: number;
  readonly entrySize: number;
  readonly entriesCrc: number;
}

export interface GptCopy {
  readonly header: GptHeader;
  readonly entries: Uint8Array;
}

export interface Write {
  readonly lba: number;
  readonly bytes: Uint8Array;
}

const MIN_HEADER = 92;
const MAX_ENTRIES_BYTES = 1 << 20;
const LABEL_CHARACTERS = 36;
const UNUSED = '00000000-0000-0000-0000-000000000000';

/** The header in a sector, or undefined when there is none, or one that is damaged. */
export function parseHeader(sector: Uint8Array, lba: number): GptHeader | undefined {
  const view = new DataView(sector.buffer, sector.byteOffset, sector.byteLength);
  if (String.fromCharCode(...sector.subarray(0, 8)) !== 'EFI PART') return undefined;
  const size = view.getUint32(12, true);
  if (size < MIN_HEADER || size > sector.length) return undefined;
  if (headerCrc(sector, size) !== view.getUint32(16, true)) return undefined;
  const header: GptHeader = {
    bytes: sector,
    currentLba: Number(view.getBigUint64(24, true)),
    otherLba: Number(view.getBigUint64(32, true)),
    entriesLba: Number(view.getBigUint64(72, true)),
    entryCount: view.getUint32(80, true),
    entrySize: view.getUint32(84, true),
    entriesCrc: view.getUint32(88, true),
  };
  const {entryCount, entrySize} = header;
  const sane =
    header.currentLba === lba &&
    entrySize >= 128 &&
    entryCount > 0 &&
    entryCount * entrySize <= MAX_ENTRIES_BYTES;
  return sane ? header : undefined;
}

/** Whether `entries` are those that the header was written with. */
export function entriesFit(header: GptHeader, entries: Uint8Array): boolean {
  return entries.length === header.entryCount * header.entrySize && crc32(entries) === header.entriesCrc;
}

export function partitionsOf({header, entries}: GptCopy): PartitionFact[] {
  const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
  return Array.from({length: header.entryCount}, (_, index) => index * header.entrySize).flatMap(
    (at, index) => {
      const type = guidFromBytes(entries, at);
      if (type === UNUSED) return [];
      const label = new TextDecoder('utf-16le').decode(entries.subarray(at + 56, at + 128)).split('\0', 1)[0];
      const firstLba = Number(view.getBigUint64(at + 32, true));
      return [
        {
          number: index + 1,
          type,
          uuid: guidFromBytes(entries, at + 16),
          label: label ?? '',
          firstLba,
          sectors: Number(view.getBigUint64(at + 40, true)) - firstLba + 1,
        },
      ];
    },
  );
}

/**
 * Plans `changes` to the table in `copy`, the one that was found whole. The first group of writes makes the backup, the
 * second the primary copy; each group is to be on the disk before the next one begins. Throws `bad-partition-table`.
 */
export function planGptWrites(
  copy: GptCopy,
  changes: readonly PartitionChange[],
  sectorSize: number,
): readonly [backup: readonly Write[], primary: readonly Write[]] {
  const entries = changeEntries(copy, changes);
  const {header} = copy;
  const entrySectors = Math.ceil(entries.length / sectorSize);
  const backupLba = header.currentLba === 1 ? header.otherLba : header.currentLba;
  if (backupLba <= entrySectors + 1) {
    throw new UpdateAgentError(
      'bad-partition-table',
      `the backup of the partition table is said to be at ${backupLba}`,
    );
  }
  const group = (currentLba: number, otherLba: number, entriesLba: number): Write[] => [
    {lba: entriesLba, bytes: entries},
    {
      lba: currentLba,
      bytes: newHeader(header, {currentLba, otherLba, entriesLba, entriesCrc: crc32(entries)}),
    },
  ];
  const own = header.currentLba === 1;
  return [
    group(backupLba, 1, own ? backupLba - entrySectors : header.entriesLba),
    group(1, backupLba, own ? header.entriesLba : 2),
  ];
}

function changeEntries({header, entries}: GptCopy, changes: readonly PartitionChange[]): Uint8Array {
  const changed = new Uint8Array(entries);
  for (const {number, label, uuid} of changes) {
    const at = (number - 1) * header.entrySize;
    const unused = number < 1 || number > header.entryCount || guidFromBytes(changed, at) === UNUSED;
    if (unused) throw new UpdateAgentError('bad-partition-table', `there is no partition ${number}`);
    if (label.length > LABEL_CHARACTERS) {
      throw new UpdateAgentError(
        'bad-partition-table',
        `the label ${label} is longer than ${LABEL_CHARACTERS} characters`,
      );
    }
    changed.set(guidToBytes(uuid), at + 16);
    changed.fill(0, at + 56, at + 128);
    const view = new DataView(changed.buffer, changed.byteOffset + at + 56, 72);
    for (let index = 0; index < label.length; index += 1)
      view.setUint16(index * 2, label.charCodeAt(index), true);
  }
  return changed;
}

function newHeader(
  from: GptHeader,
  fields: {
    readonly currentLba: number;
    readonly otherLba: number;
    readonly entriesLba: number;
    readonly entriesCrc: number;
  },
): Uint8Array {
  const bytes = new Uint8Array(from.bytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(24, BigInt(fields.currentLba), true);
  view.setBigUint64(32, BigInt(fields.otherLba), true);
  view.setBigUint64(72, BigInt(fields.entriesLba), true);
  view.setUint32(88, fields.entriesCrc, true);
  view.setUint32(16, headerCrc(bytes, view.getUint32(12, true)), true);
  return bytes;
}

/** UEFI 5.3.2: computed with its own field zero. */
function headerCrc(sector: Uint8Array, size: number): number {
  const checked = new Uint8Array(sector.subarray(0, size));
  checked.fill(0, 16, 20);
  return crc32(checked);
}
