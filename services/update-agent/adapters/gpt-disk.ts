/** The partition table of a disk, read whole and changed durably. */
import {open, type FileHandle} from 'node:fs/promises';
import {UpdateAgentError} from '../errors.ts';
import {entriesFit, parseHeader, partitionsOf, planGptWrites, type GptCopy} from '../gpt-edit.ts';
import type {PartitionChange, PartitionFact} from '../slots.ts';

export interface DiskPlace {
  /** Device, or an image file. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly sectorSize: number;
}

/** Throws {@link UpdateAgentError} `bad-partition-table` when neither copy is whole. */
export async function readPartitions(disk: DiskPlace): Promise<PartitionFact[]> {
  const file = await open(disk.path, 'r');
  try {
    return partitionsOf(await readTable(file, disk));
  } finally {
    await file.close();
  }
}

/** Makes the changes durable: the backup copy first, flushed, then the primary one. A damaged copy is made whole. */
export async function changePartitions(disk: DiskPlace, changes: readonly PartitionChange[]): Promise<void> {
  const file = await open(disk.path, 'r+');
  try {
    for (const group of planGptWrites(await readTable(file, disk), changes, disk.sectorSize)) {
      for (const {lba, bytes} of group) await writeAll(file, bytes, lba * disk.sectorSize);
      await file.sync();
    }
  } finally {
    await file.close();
  }
}

async function readTable(file: FileHandle, disk: DiskPlace): Promise<GptCopy> {
  const primary = await readCopy(file, disk, 1);
  if (primary !== undefined) return primary;
  const backup = await readCopy(file, disk, Math.floor(disk.size / disk.sectorSize) - 1);
  if (backup !== undefined) return backup;
  throw new UpdateAgentError('bad-partition-table', `${disk.path} has no whole partition table`);
}

async function readCopy(file: FileHandle, disk: DiskPlace, lba: number): Promise<GptCopy | undefined> {
  const sector = await readBytes(file, lba * disk.sectorSize, disk.sectorSize);
  const header = sector === undefined ? undefined : parseHeader(sector, lba);
  if (header === undefined) return undefined;
  const length = header.entryCount * header.entrySize;
  const entries = await readBytes(file, header.entriesLba * disk.sectorSize, length);
  return entries === undefined || !entriesFit(header, entries) ? undefined : {header, entries};
}

async function readBytes(file: FileHandle, offset: number, length: number): Promise<Uint8Array | undefined> {
  if (!Number.isSafeInteger(offset) || offset < 0) return undefined;
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const {bytesRead} = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) return undefined;
    done += bytesRead;
  }
  return bytes;
}

async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const {bytesWritten} = await file.write(bytes, done, bytes.length - done, offset + done);
    done += bytesWritten;
  }
}
