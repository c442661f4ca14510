/** Which disk a machine starts from, and a private hold on it. */
import {copyFile, link, mkdir, open, readFile, readdir, realpath, rename, rm, stat} from 'node:fs/promises';
import {constants} from 'node:fs';
import {dirname, join} from 'node:path';
import {ImageManifest} from '../../../services/common/contracts/image.ts';
import {systemErrorCode} from '../../../services/common/errors.ts';
import {sha256} from '../../../services/common/hash.ts';
import {parseJson} from '../../../services/common/parse.ts';
import type {Paths} from '../../../services/common/paths.ts';
import {checkFailed} from '../../errors.ts';

export interface BaseDisk {
  readonly path: string;
  readonly format: 'qcow2' | 'raw';
  /** Variables with our keys enrolled, when the image brings them. */
  readonly secureBootVars?: string;
}

const SECURE_BOOT_VARS = 'ovmf-vars-secboot.fd';
/** qcow2 header: "QFI" and 0xfb. */
const QCOW2_MAGIC = Buffer.from([0x51, 0x46, 0x49, 0xfb]);

/** Finds the disk in an image folder or takes the file itself. Throws by `checkFailed`. */
export async function findBaseDisk(image: string): Promise<BaseDisk> {
  const found = await stat(image).catch(() => undefined);
  if (found === undefined) {
    throw checkFailed(
      `there is no image at ${image}`,
      'build one with hawser image build, or name one with --image',
    );
  }
  if (found.isFile()) return {path: await realpath(image), format: await diskFormat(image)};
  const folder = await realpath(image);
  const manifest = await readManifest(join(folder, 'manifest.json'));
  for (const name of ['qcow2', 'disk'] as const) {
    const artefact = manifest.artefacts[name];
    if (artefact === undefined) continue;
    const path = join(folder, artefact.file);
    const size = await stat(path)
      .then(entry => entry.size)
      .catch(() => undefined);
    if (size !== artefact.size) {
      throw checkFailed(
        `${path} is not what its manifest says (${artefact.size} bytes)`,
        'build the image again',
      );
    }
    const vars = join(folder, SECURE_BOOT_VARS);
    const hasVars = await stat(vars).then(
      () => true,
      () => false,
    );
    return {path, format: await diskFormat(path), ...(hasVars ? {secureBootVars: vars} : {})};
  }
  throw checkFailed(
    `the image in ${folder} has no disk for qemu`,
    'build it with the qcow2 or the raw format',
  );
}

/**
 * A name of our own for the disk (a hard link, else a copy), so that building or removing images never changes what
 * existing machines stand on. Returns its file name in {@link basesFolder}.
 */
export async function holdBaseDisk(paths: Paths, disk: BaseDisk): Promise<string> {
  const folder = basesFolder(paths);
  await mkdir(folder, {recursive: true, mode: 0o700});
  const {dev, ino, size, mtimeMs} = await stat(disk.path);
  const name = `${sha256(`${dev} ${ino} ${size} ${mtimeMs}`).slice(0, 32)}.${disk.format}`;
  const held = join(folder, name);
  if (
    await stat(held).then(
      () => true,
      () => false,
    )
  )
    return name;
  try {
    await link(disk.path, held);
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return name;
    const temporary = `${held}.${process.pid}.tmp`;
    await copyFile(disk.path, temporary, constants.COPYFILE_FICLONE);
    await rename(temporary, held);
  }
  return name;
}

/** Removes the holds that no machine in `used` stands on. The caller holds the store's lock. */
export async function releaseBaseDisks(paths: Paths, used: ReadonlySet<string>): Promise<void> {
  const folder = basesFolder(paths);
  const entries = await readdir(folder).catch(() => []);
  for (const entry of entries) {
    if (!used.has(entry)) await rm(join(folder, entry), {force: true});
  }
}

export function basesFolder(paths: Paths): string {
  return join(paths.home, 'machines', '.bases');
}

async function readManifest(path: string): Promise<ImageManifest> {
  try {
    return parseJson(ImageManifest, await readFile(path, 'utf8'), path);
  } catch (error) {
    const missing = systemErrorCode(error) === 'ENOENT';
    const why = error instanceof Error ? error.message : String(error);
    throw checkFailed(
      missing ? `the image folder ${dirname(path)} has no manifest.json` : why,
      'build the image again with hawser image build',
      error,
    );
  }
}

async function diskFormat(path: string): Promise<'qcow2' | 'raw'> {
  await using file = await open(path, 'r');
  const {buffer} = await file.read(Buffer.alloc(4), 0, 4, 0);
  return buffer.equals(QCOW2_MAGIC) ? 'qcow2' : 'raw';
}
