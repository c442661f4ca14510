/** Variables by which we and the boot loader speak (https://systemd.io/BOOT_LOADER_INTERFACE). */
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {unlessMissing} from '../../common/errors.ts';
import {exec} from '../../common/exec.ts';

const LOADER = '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f';
const FIRMWARE = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
/** The number of our boot option, which stands in no boot order: it is asked for once at a time. */
const OPTION = 0x4857;
/** Kept over a power cut, readable by boot services and by us. */
const ATTRIBUTES = Buffer.from([7, 0, 0, 0]);

export interface LoaderVariables {
  /** Path of the boot loader that ran, with backslashes; undefined when there is none that says so. */
  loaderPath(): Promise<string | undefined>;
  /** Asks for the entry that fits `pattern`, for the next boot only. */
  setOneShot(pattern: string): Promise<void>;
  /** Lets the firmware start this option next time, and that time only. */
  setNextOption(option: Uint8Array): Promise<void>;
}

/** `folder` is /sys/firmware/efi/efivars. */
export function loaderVariables(folder: string, bootctl = 'bootctl'): LoaderVariables {
  return {
    async loaderPath() {
      const bytes = await unlessMissing(readFile(join(folder, `LoaderImageIdentifier-${LOADER}`)));
      return bytes === undefined ? undefined : decode(bytes.subarray(4));
    },
    // By systemd's own tool: the kernel guards variables that it does not know, and bootctl knows how to lift that.
    async setOneShot(pattern) {
      await exec([bootctl, 'set-oneshot', pattern], {timeoutMs: 30_000});
    },
    async setNextOption(option) {
      const number = OPTION.toString(16).toUpperCase().padStart(4, '0');
      // One write each, or the kernel makes a variable of half of it.
      await writeFile(join(folder, `Boot${number}-${FIRMWARE}`), Buffer.concat([ATTRIBUTES, option]));
      const next = Buffer.concat([ATTRIBUTES, Buffer.from([OPTION & 0xff, OPTION >> 8])]);
      await writeFile(join(folder, `BootNext-${FIRMWARE}`), next);
    },
  };
}

function decode(bytes: Buffer): string {
  return bytes.toString('utf16le').split('\0', 1)[0] ?? '';
}
