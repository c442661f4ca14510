/** What of a VM outlives a boot: its disk, the firmware's variables and an SSH key, in one folder. */
import {copyFile, mkdir, readFile, realpath} from 'node:fs/promises';
import {join} from 'node:path';
import {ImageManifest} from '../../../services/common/contracts/image.ts';
import {exec} from '../../../services/common/exec.ts';
import {parseJson} from '../../../services/common/parse.ts';

export interface MachineOptions {
  /** Folder of a built image (it holds manifest.json). */
  readonly image: string;
  /** Existing, empty folder that the caller removes; its path must be short (sockets: 107 bytes). */
  readonly folder: string;
  /** Virtual size; root takes what the image leaves. */
  readonly diskGiB?: number;
  /** `secure-boot` enforces the keys in `vars`, by default those that the image brings; the default for a signed image. */
  readonly firmware?: 'plain' | 'secure-boot';
  /** Template of the variable store, copied. */
  readonly vars?: string;
  /** `raw` copies the disk (sparse), so that a test can write into it; `overlay` costs nothing. */
  readonly disk?: 'overlay' | 'raw';
}

/** What the emulator needs to know of a machine, whatever its disk holds. */
export interface BootMachine {
  readonly folder: string;
  readonly disk: {readonly path: string; readonly format: 'qcow2' | 'raw'};
  readonly firmware: {readonly code: string; readonly vars: string; readonly secure: boolean};
  /** Private key for `ssh`. */
  readonly sshKey: string;
}

export interface Machine extends BootMachine {
  readonly image: string;
  readonly manifest: ImageManifest;
  /** Public half of the key, one line. */
  readonly sshPublicKey: string;
}

const firmwareFolder = '/usr/share/OVMF';

/** Makes disk, variables and key in `options.folder`; nothing is started. */
export async function createMachine(options: MachineOptions): Promise<Machine> {
  const image = await realpath(options.image);
  const manifest = parseJson(
    ImageManifest,
    await readFile(join(image, 'manifest.json'), 'utf8'),
    'manifest.json',
  );
  await mkdir(options.folder, {recursive: true});
  // firmware without keys would take those of a signed image from its ESP, and start once more
  const secure = (options.firmware ?? (manifest.signed ? 'secure-boot' : 'plain')) === 'secure-boot';
  const template =
    options.vars ?? (secure ? join(image, 'ovmf-vars-secboot.fd') : join(firmwareFolder, 'OVMF_VARS_4M.fd'));
  const vars = join(options.folder, 'vars.fd');
  await copyFile(template, vars);
  const sshKey = join(options.folder, 'id');
  await exec(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'vm-test', '-f', sshKey], {
    timeoutMs: 10_000,
  });
  return {
    folder: options.folder,
    image,
    manifest,
    disk: await makeDisk(image, manifest, options),
    firmware: {
      code: join(firmwareFolder, secure ? 'OVMF_CODE_4M.secboot.fd' : 'OVMF_CODE_4M.fd'),
      vars,
      secure,
    },
    sshKey,
    sshPublicKey: (await readFile(`${sshKey}.pub`, 'utf8')).trim(),
  };
}

/** Changes the virtual size of the disk of a machine that does not run. */
export async function resizeDisk(machine: Machine, gib: number): Promise<void> {
  await exec(['qemu-img', 'resize', '-q', '-f', machine.disk.format, machine.disk.path, `${gib}G`], {
    timeoutMs: 30_000,
  });
}

/** An empty disk beside the machine's own, for `extraArgs`. Returns its path. */
export async function createEmptyDisk(machine: Machine, name: string, mib: number): Promise<string> {
  const path = join(machine.folder, `${name}.qcow2`);
  await exec(['qemu-img', 'create', '-q', '-f', 'qcow2', path, `${mib}M`], {timeoutMs: 30_000});
  return path;
}

async function makeDisk(
  image: string,
  manifest: ImageManifest,
  options: MachineOptions,
): Promise<Machine['disk']> {
  const size = `${options.diskGiB ?? 12}G`;
  const format = options.disk === 'raw' ? 'raw' : 'qcow2';
  const source = manifest.artefacts[format === 'raw' ? 'disk' : 'qcow2'];
  if (source === undefined) throw new Error(`${image} has no ${format} disk`);
  const from = join(image, source.file);
  const path = join(options.folder, `disk.${format}`);
  if (format === 'raw') {
    await exec(['cp', '--sparse=always', '--reflink=auto', from, path], {timeoutMs: 300_000});
    await exec(['qemu-img', 'resize', '-q', '-f', 'raw', path, size], {timeoutMs: 30_000});
  } else {
    await exec(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', from, '-F', 'qcow2', path, size], {
      timeoutMs: 30_000,
    });
  }
  return {path, format};
}
