/** Writes a raw disk as a streamOptimized VMDK, and proves one against the raw disk. */
import {open} from 'node:fs/promises';
import type {FileHandle} from 'node:fs/promises';
import {promisify} from 'node:util';
import {deflate, inflate} from 'node:zlib';
import {MachineError} from '../../../errors.ts';
import {
  DIRECTORY_AT_END,
  GRAIN,
  GRAIN_SECTORS,
  OVERHEAD_SECTORS,
  SECTOR,
  TABLE_ENTRIES,
  descriptor,
  grainRecord,
  marker,
  metadataMarker,
  parseSparseHeader,
  sparseHeader,
  tableOf,
} from './vmdk-format.ts';

const pack = promisify(deflate);
const unpack = promisify(inflate);
const zeros = Buffer.alloc(GRAIN);
/** Grains that are read, and packed, at the same time. */
const BATCH = 64;

export interface VmdkWish {
  readonly raw: string;
  readonly vmdk: string;
  /** As the descriptor and the OVF name it. */
  readonly name: string;
  /** 8 hex digits that follow from the contents. */
  readonly contentId: string;
  readonly signal: AbortSignal;
  report(share: number): void;
}

/** Grains of zeros are left out. The file must not exist. */
export async function writeVmdk(wish: VmdkWish): Promise<void> {
  await using raw = await open(wish.raw, 'r');
  await using vmdk = await open(wish.vmdk, 'wx', 0o644);
  const size = (await raw.stat()).size;
  const capacity = Math.ceil(size / SECTOR);
  const grains = Math.ceil(size / GRAIN);
  const out = new Appender(vmdk);
  await out.append(sparseHeader(capacity, DIRECTORY_AT_END));
  await out.append(descriptor(wish.name, capacity, wish.contentId));
  await out.append(Buffer.alloc(OVERHEAD_SECTORS * SECTOR - out.bytes));
  const directory: number[] = [];
  for (let first = 0; first < grains; first += TABLE_ENTRIES) {
    const entries: number[] = [];
    for (let at = first; at < Math.min(first + TABLE_ENTRIES, grains); at += BATCH) {
      wish.signal.throwIfAborted();
      const count = Math.min(BATCH, first + TABLE_ENTRIES - at, grains - at);
      const packed = await packGrains(raw, at, count);
      for (const [index, bytes] of packed.entries()) {
        entries.push(bytes === undefined ? 0 : out.sector);
        if (bytes !== undefined) await out.append(grainRecord((at + index) * GRAIN_SECTORS, bytes));
      }
    }
    if (entries.every(entry => entry === 0)) {
      directory.push(0);
      continue;
    }
    while (entries.length < TABLE_ENTRIES) entries.push(0);
    directory.push(await out.metadata(marker.grainTable, tableOf(entries)));
    wish.report(Math.min(1, (first + TABLE_ENTRIES) / grains));
  }
  const place = await out.metadata(marker.grainDirectory, tableOf(directory));
  await out.metadata(marker.footer, sparseHeader(capacity, BigInt(place)));
  await out.append(metadataMarker(marker.endOfStream, 0));
  await vmdk.sync();
}

/** Compressed grains; undefined for one of zeros. */
async function packGrains(raw: FileHandle, first: number, count: number): Promise<(Buffer | undefined)[]> {
  const buffer = Buffer.alloc(count * GRAIN);
  await readFully(raw, buffer, first * GRAIN);
  return Promise.all(
    Array.from({length: count}, async (_, index) => {
      const grain = buffer.subarray(index * GRAIN, (index + 1) * GRAIN);
      return grain.equals(zeros) ? undefined : pack(grain);
    }),
  );
}

class Appender {
  readonly #file: FileHandle;
  bytes = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  get sector(): number {
    return this.bytes / SECTOR;
  }

  async append(data: Buffer): Promise<void> {
    await this.#file.write(data, 0, data.length, this.bytes);
    this.bytes += data.length;
  }

  /** A marker, then what it announces; returns the sector of the latter. */
  async metadata(type: (typeof marker)[keyof typeof marker], data: Buffer): Promise<number> {
    await this.append(metadataMarker(type, data.length / SECTOR));
    const place = this.sector;
    await this.append(data);
    return place;
  }
}

/** Reads the VMDK anew, by its footer, and compares every grain with the raw disk. Throws `driver-failed`. */
export async function proveVmdk(vmdkPath: string, rawPath: string, signal: AbortSignal): Promise<void> {
  await using raw = await open(rawPath, 'r');
  await using vmdk = await open(vmdkPath, 'r');
  const wrong = (what: string) =>
    new MachineError('driver-failed', `${vmdkPath} is not as it was written: ${what}`);
  const [rawSize, vmdkSize] = [(await raw.stat()).size, (await vmdk.stat()).size];
  const at = async (offset: number, length: number) => {
    const buffer = Buffer.alloc(length);
    if (!(await readFully(vmdk, buffer, offset))) throw wrong(`it ends before ${offset + length}`);
    return buffer;
  };
  // The footer is before the last sector, which ends the stream.
  const {capacitySectors, directory} = parseSparseHeader(await at(vmdkSize - 2 * SECTOR, SECTOR));
  if (capacitySectors !== Math.ceil(rawSize / SECTOR)) throw wrong('its capacity');
  const grains = Math.ceil(rawSize / GRAIN);
  const tables = await at(Number(directory) * SECTOR, Math.ceil(grains / TABLE_ENTRIES) * 4);
  for (let first = 0; first < grains; first += TABLE_ENTRIES) {
    const table = tables.readUInt32LE((first / TABLE_ENTRIES) * 4);
    const entries =
      table === 0 ? Buffer.alloc(TABLE_ENTRIES * 4) : await at(table * SECTOR, TABLE_ENTRIES * 4);
    for (let grain = first; grain < Math.min(first + TABLE_ENTRIES, grains); grain++) {
      signal.throwIfAborted();
      const expected = Buffer.alloc(GRAIN);
      await readFully(raw, expected, grain * GRAIN);
      const place = entries.readUInt32LE((grain - first) * 4) * SECTOR;
      const found = place === 0 ? zeros : await grainAt(at, place, grain, wrong);
      if (!found.equals(expected)) throw wrong(`grain ${grain}`);
    }
  }
}

async function grainAt(
  at: (offset: number, length: number) => Promise<Buffer>,
  place: number,
  grain: number,
  wrong: (what: string) => Error,
): Promise<Buffer> {
  const head = await at(place, 12);
  if (head.readBigUInt64LE(0) !== BigInt(grain * GRAIN_SECTORS)) throw wrong(`the place of grain ${grain}`);
  return unpack(await at(place + 12, head.readUInt32LE(8)));
}

/** False when the file ends before the buffer is full; the rest is then zeros. */
async function readFully(file: FileHandle, buffer: Buffer, position: number): Promise<boolean> {
  let filled = 0;
  while (filled < buffer.length) {
    const {bytesRead} = await file.read(buffer, filled, buffer.length - filled, position + filled);
    if (bytesRead === 0) return false;
    filled += bytesRead;
  }
  return true;
}
