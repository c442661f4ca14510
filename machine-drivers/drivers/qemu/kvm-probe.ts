/**
 * Whether KVM runs guests. A device node proves nothing (nested and restricted hosts have one that aborts or hangs),
 * so a guest is run: the firmware loads a boot sector of ours, which tells the host that it was reached.
 */
import {access, constants, mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {Type} from 'typebox';
import {ExecError, exec} from '../../../services/common/exec.ts';
import {writeFileAtomic} from '../../../services/common/fs-atomic.ts';
import {parseJson} from '../../../services/common/parse.ts';
import type {Paths} from '../../../services/common/paths.ts';

const PROBE_TIMEOUT_MS = 10_000;
/** isa-debug-exit: a guest that writes v ends the emulator with exit code 2v+1. */
const TOLD = 0x2a;

/**
 * 16-bit code: mov dx,0x501; mov al,TOLD; out dx,al; hlt; jmp back to hlt. The last two bytes mark a boot sector.
 * The firmware finds no geometry for a smaller disk.
 */
function bootDisk(): Buffer {
  const sector = Buffer.alloc(2 ** 20);
  Buffer.from([0xba, 0x01, 0x05, 0xb0, TOLD, 0xee, 0xf4, 0xeb, 0xfd]).copy(sector);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

/** Runs the probe guest under `accelerator`; true when it reached its end. */
export async function runsGuests(
  program: string,
  accelerator: 'kvm' | 'tcg',
  signal: AbortSignal,
): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-probe-'));
  try {
    const disk = join(folder, 'boot.img');
    await writeFile(disk, bootDisk());
    const command = [
      program,
      ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
      ['-machine', 'q35', '-accel', accelerator, '-cpu', 'max', '-smp', '2', '-m', '64M'],
      ['-drive', `if=none,id=disk,format=raw,readonly=on,file=${disk.replaceAll(',', ',,')}`],
      ['-device', 'virtio-blk-pci,drive=disk,bootindex=1'],
      ['-device', 'isa-debug-exit,iobase=0x501,iosize=1'],
    ].flat();
    await exec(command, {timeoutMs: PROBE_TIMEOUT_MS, signal, okCodes: [TOLD * 2 + 1]});
    return true;
  } catch (error) {
    if (error instanceof ExecError && error.code !== 'aborted') return false;
    throw error;
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

const Known = Type.Object({boot: Type.String(), program: Type.String(), works: Type.Boolean()});

/** {@link runsGuests} for KVM, asked once per boot of the host. */
export async function kvmWorks(program: string, paths: Paths, signal: AbortSignal): Promise<boolean> {
  const usable = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!usable) return false;
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').then(
    text => text.trim(),
    () => 'unknown',
  );
  const path = join(paths.cache, 'kvm-probe.json');
  try {
    const known = parseJson(Known, await readFile(path, 'utf8'), path);
    if (known.boot === boot && known.program === program) return known.works;
  } catch {
    // No answer yet, or one that cannot be read: ask again.
  }
  const works = await runsGuests(program, 'kvm', signal);
  await mkdir(paths.cache, {recursive: true});
  await writeFileAtomic(path, `${JSON.stringify({boot, program, works})}\n`);
  return works;
}
