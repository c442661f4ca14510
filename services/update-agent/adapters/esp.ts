/** The EFI system partition: UKIs under their names, and the boot loader in its two places. */
import {createHash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {open, readdir, rename, rm, stat, statfs} from 'node:fs/promises';
import {join} from 'node:path';
import {ukiFileName} from '../../common/contracts/slots.ts';
import {systemErrorCode} from '../../common/errors.ts';
import {syncFolder} from '../../common/fs-atomic.ts';
import {UpdateAgentError} from '../errors.ts';
import type {TrialEntry} from '../recover.ts';
import {unarmedName} from '../slots.ts';
import {
  badUkiName,
  blessedUkiName,
  newUkiName,
  parseUkiName,
  stagedUkiName,
  type UkiFile,
} from '../uki-names.ts';

/** Boots of a new release before the loader gives it up. */
export const tries = 3;

export type SizedUki = UkiFile & {readonly size: number};

/** The ESP mounted at `mount` (systemd-gpt-auto-generator mounts it there when it is looked at). */
export class Esp {
  readonly mount: string;

  constructor(mount: string) {
    this.mount = mount;
  }

  get folder(): string {
    return join(this.mount, 'EFI/Linux');
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Throws {@link UpdateAgentError} `no-esp`. */
  async list(): Promise<SizedUki[]> {
    let names: string[];
    try {
      names = await readdir(this.folder);
    } catch (error) {
      throw new UpdateAgentError(
        'no-esp',
        `${this.folder} cannot be read (${systemErrorCode(error) ?? 'error'})`,
        {
          remedy: 'see whether the EFI system partition is mounted: systemctl status boot.mount',
          cause: error,
        },
      );
    }
    const found: SizedUki[] = [];
    for (const name of names) {
      const parsed = parseUkiName(name);
      if (parsed !== undefined) found.push({...parsed, size: (await stat(this.path(name))).size});
    }
    return found;
  }

  async free(): Promise<number> {
    const {bavail, bsize} = await statfs(this.folder);
    return bavail * bsize;
  }

  async remove(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    for (const name of names) await rm(this.path(name), {force: true});
    await syncFolder(this.folder);
  }

  /** Gives what was written whole and durably the name under which it waits. */
  async place(version: string): Promise<void> {
    await this.#rename(newUkiName(version), stagedUkiName(version));
  }

  /** From here on the loader takes it. */
  async arm(version: string): Promise<void> {
    const name = ukiFileName(version, tries);
    const files = (await this.list()).filter(file => file.version === version);
    if (files.some(file => file.name === name)) return;
    const from = files.find(file => file.staged) ?? files.find(file => file.tries === undefined);
    if (from === undefined) throw new UpdateAgentError('failed', `the ESP holds no UKI of ${version}`);
    await this.#rename(from.name, name);
  }

  async disarm(version: string, source: 'fetched' | 'slot'): Promise<void> {
    const name = ukiFileName(version, tries);
    const armed = (await this.list()).some(file => file.name === name);
    if (armed) await this.#rename(name, unarmedName(version, source));
  }

  /** Takes the counter off: the entry has proven itself. */
  async bless(version: string): Promise<void> {
    const counted = (await this.list()).find(file => file.version === version && file.tries !== undefined);
    if (counted !== undefined) await this.#rename(counted.name, blessedUkiName(version));
  }

  /** No tries are left: the loader takes it only when there is nothing else. */
  async markBad(version: string): Promise<void> {
    const file = (await this.list()).find(one => one.version === version && !one.staged);
    if (file === undefined || file.tries?.left === 0) return;
    await this.#rename(file.name, badUkiName(version, file.tries?.done ?? 1));
  }

  entryOf(files: readonly UkiFile[], version: string): TrialEntry {
    const file = files.find(one => one.version === version && !one.staged);
    if (file === undefined) return files.some(one => one.version === version) ? 'unarmed' : 'gone';
    if (file.tries === undefined) return 'good';
    if (file.tries.left === 0) return 'exhausted';
    return file.tries.done === 0 ? 'untried' : 'tried';
  }

  async #rename(from: string, to: string): Promise<void> {
    await rename(this.path(from), this.path(to));
    await syncFolder(this.folder);
  }
}

/** The loader in `EFI/systemd` is what a new release brings; the one in `EFI/BOOT` is what every firmware finds. */
export const loaderPlaces = {
  first: 'EFI/systemd/systemd-bootx64.efi',
  fallback: 'EFI/BOOT/BOOTX64.EFI',
} as const;

export async function hashFile(path: string): Promise<string | undefined> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  return hash.digest('hex');
}

/** Replaces a file of the ESP by another one of it, whole and durably. */
export async function replaceFile(mount: string, from: string, to: string): Promise<void> {
  const target = join(mount, to);
  const temporary = `${target}.new`;
  const source = await open(join(mount, from), 'r');
  try {
    const copy = await open(temporary, 'w');
    try {
      await copy.writeFile(await source.readFile());
      await copy.sync();
    } finally {
      await copy.close();
    }
  } finally {
    await source.close();
  }
  await rename(temporary, target);
  await syncFolder(join(target, '..'));
}
