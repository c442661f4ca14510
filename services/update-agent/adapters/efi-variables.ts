/** Variables by which we and the boot loader speak (https://systemd.io/BOOT_LOADER_INTERFACE). */
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {systemErrorCode} from '../../common/errors.ts';

const LOADER = '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f';
/** Kept over a power cut, readable by boot services and by us. */
const ATTRIBUTES = Buffer.from([7, 0, 0, 0]);

export interface LoaderVariables {
  /** Path of the boot loader that ran, with backslashes; undefined when there is none that says so. */
  loaderPath(): Promise<string | undefined>;
  /** Asks for the entry that fits `pattern`, for the next boot only. */
  setOneShot(pattern: string): Promise<void>;
  /** Whether the entry that runs is counted: it has yet to prove itself. */
  counted(): Promise<boolean>;
}

/** `folder` is /sys/firmware/efi/efivars. */
export function loaderVariables(folder: string): LoaderVariables {
  const path = (name: string) => join(folder, `${name}-${LOADER}`);
  return {
    async loaderPath() {
      const bytes = await readIfThere(path('LoaderImageIdentifier'));
      return bytes === undefined ? undefined : decode(bytes.subarray(4));
    },
    async setOneShot(pattern) {
      // One write, or the kernel makes a variable of half of it.
      await writeFile(path('LoaderEntryOneShot'), Buffer.concat([ATTRIBUTES, encode(pattern)]));
    },
    counted: async () => (await readIfThere(path('LoaderBootCountPath'))) !== undefined,
  };
}

function encode(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf16le');
}

function decode(bytes: Buffer): string {
  return bytes.toString('utf16le').split('\0', 1)[0] ?? '';
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
