/** The qemu driver with real emulators, their processors halted: everything but the guest, at no cost. */
import {readFile, readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import anyTest from 'ava';
import {exec} from '../../services/common/exec.ts';
import {qemuDriver} from '../../machine-drivers/drivers/qemu/index.ts';
import {configureQemu} from '../../machine-drivers/drivers/qemu/settings.ts';
import {conformance} from './conformance.ts';

// One after another: each starts several processes.
conformance(anyTest.serial, {
  name: 'qemu',
  subject: async (_, home) => {
    const image = join(home, 'image.qcow2');
    await exec(['qemu-img', 'create', '-q', '-f', 'qcow2', image, '64M'], {timeoutMs: 30_000});
    const flags = new Map<string, string | boolean | number>([
      ['image', image],
      ['qemu-paused', true],
      ['qemu-restrict', true],
      ['qemu-memory', 128],
      ['qemu-accel', 'tcg'],
    ]);
    const exists = (path: string) =>
      stat(path).then(
        () => 1,
        () => 0,
      );
    return {
      driver: qemuDriver,
      settings: await configureQemu(flags, {cwd: home, paths: {home, cache: home}}),
      fresh: 'Paused',
      shared: ['base', 'firmware', 'accelerator'],
      count: async ({uuid, folder}) => ({
        emulators: (await emulators(uuid)).length,
        disks: await exists(join(folder, 'qemu', 'disk.qcow2')),
        monitors: await exists(join(home, 'machines', '.run', `${uuid}.qmp`)),
      }),
      vanish: async ({uuid}) => {
        for (const pid of await emulators(uuid)) process.kill(pid, 'SIGKILL');
        while ((await emulators(uuid)).length > 0) await new Promise(resolve => setTimeout(resolve, 20));
      },
    };
  },
});

/** Live emulators of the machine, found without the driver's help. */
async function emulators(uuid: string): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const words = (await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '')).split('\0');
    const at = words.indexOf('-uuid');
    if (at !== -1 && words[at + 1] === uuid) found.push(Number(entry));
  }
  return found;
}
