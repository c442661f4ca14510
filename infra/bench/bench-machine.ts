/** A fresh disk of one of the two images, with what its first boot reads; the command line is the same for both. */
import {copyFile, mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {execInRoot} from '../../image-build/tools-root.ts';
import {findFirmware} from '../../machine-drivers/drivers/qemu/firmware.ts';
import {exec} from '../../services/common/exec.ts';
import type {BootMachine} from '../../test/support/vm/machine.ts';
import type {HardwareOptions} from '../../test/support/vm/command-line.ts';
import {ignitionConfig, noCloudFiles} from './machine-config.ts';

const TOOL_TIMEOUT_MS = 60_000;
const SEED_BYTES = 1024 ** 2;
const DISK_SIZE = '12G';

export interface BenchMachine {
  readonly machine: BootMachine;
  readonly hardware: HardwareOptions;
}

export interface BenchImage {
  readonly qcow2: string;
  /**
   * Variables of a firmware that holds the image's keys, as its machines have. Absent: empty ones, in which a signed
   * image first enrols its keys and restarts.
   */
  readonly firmwareVars?: string | undefined;
}

/** Makes everything in `folder`, which is created and which the caller removes. */
export async function createBenchMachine(
  folder: string,
  {qcow2, firmwareVars}: BenchImage,
  toolsRoot: string,
  signal: AbortSignal,
): Promise<BenchMachine> {
  await mkdir(folder, {recursive: true});
  const options = {timeoutMs: TOOL_TIMEOUT_MS, signal};
  const firmware = await findFirmware({secureBoot: false, code: undefined, secureBootVars: undefined});
  const vars = join(folder, 'vars.fd');
  await copyFile(firmwareVars ?? firmware.vars, vars);
  const disk = join(folder, 'disk.qcow2');
  await exec(
    ['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', qcow2, '-F', 'qcow2', disk, DISK_SIZE],
    options,
  );
  const sshKey = join(folder, 'id');
  await exec(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'bench', '-f', sshKey], options);
  const publicKey = (await readFile(`${sshKey}.pub`, 'utf8')).trim();

  const config = join(folder, 'config.ign');
  await writeFile(config, ignitionConfig(publicKey));
  const seed = await makeSeed(folder, publicKey, toolsRoot, signal);
  return {
    machine: {
      folder,
      disk: {path: disk, format: 'qcow2'},
      firmware: {code: firmware.code, vars, secure: false},
      sshKey,
    },
    hardware: {
      fwCfg: {'opt/com.coreos/config': config},
      extraArgs: [
        '-drive',
        `if=none,id=seed,format=raw,readonly=on,file=${seed}`,
        '-device',
        'virtio-blk-pci,drive=seed',
      ],
    },
  };
}

/** NoCloud takes any file system that is labelled "cidata": FAT here, as its tools are in the tools root. */
async function makeSeed(
  folder: string,
  publicKey: string,
  toolsRoot: string,
  signal: AbortSignal,
): Promise<string> {
  const names = Object.entries(noCloudFiles(publicKey, 'bench-1'));
  for (const [name, text] of names) await writeFile(join(folder, name), text);
  await writeFile(join(folder, 'seed.img'), Buffer.alloc(SEED_BYTES));
  const run = (argv: readonly string[]) =>
    execInRoot({root: toolsRoot, binds: {[folder]: '/build'}, argv, timeoutMs: TOOL_TIMEOUT_MS, signal});
  await run(['mkfs.vfat', '-n', 'CIDATA', '/build/seed.img']);
  await run(['mcopy', '-i', '/build/seed.img', ...names.map(([name]) => `/build/${name}`), '::']);
  return join(folder, 'seed.img');
}
