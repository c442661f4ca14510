/** A slot's partition, or a file in its place. */
import {constants} from 'node:fs';
import {open, type FileHandle} from 'node:fs/promises';
import {systemErrorCode} from '../../common/errors.ts';
import {PayloadError} from '../../common/payload/errors.ts';

// Node has it; its types come with the DOM's, which this project has no use for.
declare const WebAssembly: {
  readonly Memory: new (pages: {initial: number; maximum: number}) => {readonly buffer: ArrayBuffer};
};

export interface SlotDevice extends AsyncDisposable {
  /** Fills `into` from `position`; bytes behind the end of a file are zeros. */
  read(into: Uint8Array, position: number): Promise<void>;
  write(bytes: Uint8Array, position: number): Promise<void>;
  sync(): Promise<void>;
}

/** Opens a device; `size` bytes are needed. Throws {@link PayloadError} `slot-too-small`. */
export async function openSlot(path: string, access: 'read' | 'write', size = 0): Promise<SlotDevice> {
  const handle = await open(path, access === 'read' ? 'r' : 'r+');
  try {
    // A block device has no size in stat(2), so its last byte is asked for.
    if (size > 0 && (await handle.read(new Uint8Array(1), 0, 1, size - 1)).bytesRead === 0) {
      throw new PayloadError(
        'slot-too-small',
        `${path} has less than the ${size} bytes that the release needs`,
        {
          remedy: 'this release needs a machine that is installed anew',
        },
      );
    }
  } catch (error) {
    await handle.close();
    throw error;
  }
  return {
    read: (into, position) => readFully(handle, into, position),
    write: async (bytes, position) => {
      for (let done = 0; done < bytes.length;) {
        done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
      }
    },
    sync: () => handle.sync(),
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

export interface ReadBack extends AsyncDisposable {
  readonly kind: 'direct' | 'buffered';
  /** The bytes at `position`, valid until the next call. */
  read(position: number, size: number): Promise<Uint8Array>;
}

/** Largest read of {@link openReadBack}. */
export const readBackBytes = 1 << 20;

/**
 * Opens a device that was written and synced, to read what it holds rather than what the page cache remembers: with
 * O_DIRECT the kernel writes back what is dirty and then asks the device (open(2)). posix_fadvise would only advise it
 * to forget, and Node has no such call. Where there are no direct reads (tmpfs), what is read is said to be buffered.
 */
export async function openReadBack(path: string): Promise<ReadBack> {
  // O_DIRECT needs memory that is aligned to the device's blocks: WebAssembly's is aligned to pages.
  const memory = new WebAssembly.Memory({initial: readBackBytes / 65_536, maximum: readBackBytes / 65_536});
  const buffer = new Uint8Array(memory.buffer);
  const direct = await openDirect(path, buffer);
  const handle = direct ?? (await open(path, 'r'));
  return {
    kind: direct === undefined ? 'buffered' : 'direct',
    read: async (position, size) => {
      const view = buffer.subarray(0, size);
      await readFully(handle, view, position);
      return view;
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

async function openDirect(path: string, buffer: Uint8Array): Promise<FileHandle | undefined> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_DIRECT);
    await handle.read(buffer, 0, 4096, 0);
    return handle;
  } catch (error) {
    await handle?.close();
    if (systemErrorCode(error) === 'EINVAL') return undefined;
    throw error;
  }
}

async function readFully(handle: FileHandle, into: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < into.length) {
    const {bytesRead} = await handle.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  into.fill(0, done);
}
