/** A GPT disk in memory, written from the UEFI Specification, so that each test can then break one thing in it. */
import {crc32} from 'node:zlib';
import {guidToBytes} from '../../../services/common/formats/guid.ts';

export interface Entry {
  readonly type: string;
  readonly uuid: string;
  readonly label: string;
  readonly firstLba: number;
  readonly lastLba: number;
  readonly attributes?: bigint;
}

export const diskUuid = 'e7b6a4f0-1111-4222-8333-444455556666';
export const firstUsableLba = 34;

export function buildDisk(sectors: number, entries: readonly Entry[]): Uint8Array {
  const disk = new Uint8Array(sectors * 512);
  const table = new Uint8Array(128 * 128);
  const view = new DataView(table.buffer);
  for (const [index, entry] of entries.entries()) {
    const at = index * 128;
    table.set(guidToBytes(entry.type), at);
    table.set(guidToBytes(entry.uuid), at + 16);
    view.setBigUint64(at + 32, BigInt(entry.firstLba), true);
    view.setBigUint64(at + 40, BigInt(entry.lastLba), true);
    view.setBigUint64(at + 48, entry.attributes ?? 0n, true);
    table.set(Buffer.from(entry.label, 'utf16le'), at + 56);
  }
  const last = sectors - 1;
  disk.set(table, 2 * 512);
  disk.set(table, (last - 32) * 512);
  disk.set(header(sectors, 1, last, 2, table), 512);
  disk.set(header(sectors, last, 1, last - 32, table), last * 512);
  return disk;
}

/** Computes the checksums of both headers and both entry arrays again, after a test has changed something. */
export function resealDisk(disk: Uint8Array): void {
  const view = new DataView(disk.buffer);
  for (const lba of [1, disk.length / 512 - 1]) {
    const at = lba * 512;
    const entries = Number(view.getBigUint64(at + 72, true)) * 512;
    const size = view.getUint32(at + 80, true) * view.getUint32(at + 84, true);
    view.setUint32(at + 88, crc32(disk.subarray(entries, entries + size)), true);
    view.setUint32(at + 16, 0, true);
    view.setUint32(at + 16, crc32(disk.subarray(at, at + 92)), true);
  }
}

function header(
  sectors: number,
  own: number,
  other: number,
  entriesLba: number,
  table: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(512);
  const view = new DataView(bytes.buffer);
  bytes.set(Buffer.from('EFI PART'));
  view.setUint32(8, 0x10000, true);
  view.setUint32(12, 92, true);
  view.setBigUint64(24, BigInt(own), true);
  view.setBigUint64(32, BigInt(other), true);
  view.setBigUint64(40, BigInt(firstUsableLba), true);
  view.setBigUint64(48, BigInt(sectors - 34), true);
  bytes.set(guidToBytes(diskUuid), 56);
  view.setBigUint64(72, BigInt(entriesLba), true);
  view.setUint32(80, 128, true);
  view.setUint32(84, 128, true);
  view.setUint32(88, crc32(table), true);
  view.setUint32(16, crc32(bytes.subarray(0, 92)), true);
  return bytes;
}
