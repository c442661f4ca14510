/** The two disks of a machine: a clone of the image, and the one with the first-boot configuration. */
import {mkdir, open, rename, rm, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {randomUUID} from 'node:crypto';
import {writeFileAtomic} from '../../../services/common/fs-atomic.ts';
import {sha256} from '../../../services/common/hash.ts';
import {takeLock} from '../../store/lock.ts';
import type {DriverHost, DriverMachine} from '../../driver.ts';
import {MachineError, checkFailed} from '../../errors.ts';
import {openBuiltImage} from '../../built-image.ts';
import {configDisk} from './config-disk.ts';
import {isMissing} from './vboxmanage.ts';
import type {VboxManage} from './vboxmanage.ts';

const CONVERT_WAIT_MS = 600_000;
const GPT_SIGNATURE = 'EFI PART';

export interface MachineDisks {
  readonly folder: string;
  readonly disk: string;
  readonly config: string;
}

export function disksOf(machine: Pick<DriverMachine, 'folder'>): MachineDisks {
  const folder = join(machine.folder, 'virtualbox');
  return {folder, disk: join(folder, 'disk.vdi'), config: join(folder, 'config.vdi')};
}

/** The raw disk of an image folder, or the file itself. Throws by `checkFailed`. */
export async function findRawDisk(image: string): Promise<string> {
  const found = await stat(image).catch(() => undefined);
  if (found === undefined)
    throw checkFailed(
      `there is no image at ${image}`,
      'build one with hawser image build, or name one with --image',
    );
  if (!found.isFile()) return (await openBuiltImage(image)).disk;
  if (await isGpt(image)) return image;
  throw checkFailed(`${image} is not a raw disk`, 'VirtualBox machines start from the image’s raw format');
}

/** UEFI 2.10, 5.3.2: the header is in the second sector. */
async function isGpt(path: string): Promise<boolean> {
  await using file = await open(path, 'r');
  const {buffer} = await file.read(Buffer.alloc(8), 0, 8, 512);
  return buffer.toString('latin1') === GPT_SIGNATURE;
}

/**
 * The image as VirtualBox's own format, made once and kept in the cache: cloning it copies only what is in it. Returns
 * its path.
 */
async function baseDisk(raw: string, vbox: VboxManage, host: DriverHost): Promise<string> {
  const {size, mtimeMs} = await stat(raw);
  const base = join(
    host.paths.cache,
    'virtualbox',
    `${sha256(`${raw} ${size} ${mtimeMs}`).slice(0, 32)}.vdi`,
  );
  await mkdir(dirname(base), {recursive: true, mode: 0o700});
  const {clock, signal} = host;
  await using _ = await takeLock({
    path: `${base}.lock`,
    what: 'the image of VirtualBox',
    waitMs: CONVERT_WAIT_MS,
    clock,
    signal,
  });
  if ((await stat(base).catch(() => undefined)) !== undefined) return base;
  host.report('converting the image');
  const temporary = `${base}.${randomUUID()}.tmp`;
  try {
    await vbox('convertfromraw', raw, temporary, '--format', 'VDI');
    await rename(temporary, base);
  } finally {
    await rm(temporary, {force: true});
  }
  return base;
}

/** Begins anew each time: half a clone cannot be told from a whole one. Not called while the machine runs. */
export async function makeDisk(
  machine: DriverMachine,
  settings: {readonly image: string; readonly diskMiB: number},
  vbox: VboxManage,
  host: DriverHost,
): Promise<void> {
  const {disk} = disksOf(machine);
  const base = await baseDisk(await findRawDisk(settings.image), vbox, host);
  await dropMedium(vbox, disk);
  await vbox('clonemedium', 'disk', base, disk, '--format', 'VDI');
  await vbox('modifymedium', 'disk', disk, '--resize', String(settings.diskMiB));
}

export async function makeConfigDisk(
  machine: DriverMachine,
  vbox: VboxManage,
  host: DriverHost,
): Promise<void> {
  const {config, folder} = disksOf(machine);
  await dropMedium(vbox, config);
  const raw = join(folder, 'config.img');
  const {text} = await host.firstBoot([]);
  try {
    await writeFileAtomic(raw, configDisk(Buffer.from(text)));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new MachineError('driver-failed', error.message, {remedy: 'make the configuration smaller'});
  }
  await vbox('convertfromraw', raw, config, '--format', 'VDI');
  await rm(raw);
}

/** Forgotten by VirtualBox and gone from the disk, whichever of the two it still was. */
export async function dropMedium(vbox: VboxManage, path: string): Promise<void> {
  try {
    await vbox('closemedium', 'disk', path, '--delete');
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  await rm(path, {force: true});
}
