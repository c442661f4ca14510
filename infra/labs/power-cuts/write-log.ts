/** The log of dm-log-writes (Linux, Documentation/admin-guide/device-mapper/log-writes.rst), as QEMU writes it too. */

const MAGIC = 0x6a736677736872n;
const VERSION = 1n;
const FLUSH = 1;
const FUA = 2;
const DISCARD = 4;
const MARK = 8;
/** Bytes of an entry's header; it fills a sector of the log all the same. */
const ENTRY_BYTES = 32;

export interface LogHeader {
  readonly entries: number;
  /** Bytes: the unit of all that the log counts. */
  readonly sectorSize: number;
}

export interface LogEntry {
  /** Bytes from the start of the disk. */
  readonly offset: number;
  /** Bytes that the disk was told to write or discard; 0 for a mere flush. */
  readonly length: number;
  /** All that was complete before is on the disk from here on. */
  readonly flush: boolean;
  /** This write itself is on the disk when it is complete. */
  readonly fua: boolean;
  readonly discard: boolean;
  readonly mark: boolean;
  /** Bytes of data that follow in the log: none for a discard, and for a mark, whose text lies beside the header. */
  readonly dataLength: number;
}

/** The first sector of a log. Throws an error for one that is none. */
export function parseLogHeader(bytes: Uint8Array): LogHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getBigUint64(0, true) !== MAGIC) throw new Error('this is no log of dm-log-writes');
  const version = view.getBigUint64(8, true);
  if (version !== VERSION) throw new Error(`the log has version ${version}, not ${VERSION}`);
  const sectorSize = view.getUint32(24, true);
  if (sectorSize < 512 || !Number.isInteger(Math.log2(sectorSize)))
    throw new Error(`the log counts in sectors of ${sectorSize} bytes`);
  return {entries: Number(view.getBigUint64(16, true)), sectorSize};
}

/** The header of one entry; its data begins at the next sector of the log. */
export function parseLogEntry(bytes: Uint8Array, sectorSize: number): LogEntry {
  if (bytes.length < ENTRY_BYTES) throw new Error('the log ends within an entry');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const number = (at: number) => Number(view.getBigUint64(at, true));
  const flags = number(16);
  if (flags > (FLUSH | FUA | DISCARD | MARK)) throw new Error(`the log has an entry with the flags ${flags}`);
  const length = number(8) * sectorSize;
  const without = (flags & (DISCARD | MARK)) !== 0;
  return {
    offset: number(0) * sectorSize,
    length,
    flush: (flags & FLUSH) !== 0,
    fua: (flags & FUA) !== 0,
    discard: (flags & DISCARD) !== 0,
    mark: (flags & MARK) !== 0,
    dataLength: without ? 0 : length,
  };
}
