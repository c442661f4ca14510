/** A log of writes on disk: where each entry's data lies. */
import {open, type FileHandle} from 'node:fs/promises';
import {parseLogEntry, parseLogHeader, type LogEntry} from './write-log.ts';

export type LoggedEntry = LogEntry & {
  /** Bytes from the start of the log, to its data. */
  readonly dataAt: number;
};

export interface WriteLog extends AsyncDisposable {
  readonly entries: readonly LoggedEntry[];
  read(at: number, length: number): Promise<Uint8Array>;
}

const HEADER = 512;

export async function openWriteLog(path: string): Promise<WriteLog> {
  const file = await open(path, 'r');
  try {
    const {entries: count, sectorSize} = parseLogHeader(await exactly(file, 0, HEADER));
    const entries: LoggedEntry[] = [];
    for (let at = sectorSize; entries.length < count;) {
      const entry = parseLogEntry(await exactly(file, at, HEADER), sectorSize);
      const dataAt = at + sectorSize;
      entries.push({...entry, dataAt});
      at = dataAt + entry.dataLength;
    }
    return {
      entries,
      read: (at, length) => exactly(file, at, length),
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function exactly(file: FileHandle, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  const {bytesRead} = await file.read(bytes, 0, length, at);
  if (bytesRead !== length) throw new Error(`the log ends at byte ${at + bytesRead}, within an entry`);
  return bytes;
}
