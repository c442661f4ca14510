/** Little memory, other buses, a disk that grows, no serial line. */
import assert from 'node:assert/strict';
import {resizeDisk} from '../../support/vm/machine.ts';
import {configFor, firstBootDone, fwCfg, healthy, initrdFailed, type Case, type Lab} from './lab.ts';

export const growCase: Case = {
  name: 'grow',
  title: 'root grows with the disk; 768 MiB of memory',
  limitSeconds: 600,
  async run(lab) {
    const machine = await lab.machine({diskGiB: 8});
    const path = await lab.config('config', configFor(machine));
    const sizes: number[] = [];
    for (const gib of [8, 14]) {
      await resizeDisk(machine, gib);
      const vm = await lab.boot(machine, {...fwCfg(path), cache: 'writeback', memoryMiB: 768});
      const up = await vm.waitFor(healthy, 300, initrdFailed);
      lab.note(
        `${gib} GiB: healthy after ${up.wallSeconds.toFixed(0)} s wall, ${up.cpuSeconds.toFixed(0)} CPU s`,
      );
      await vm.waitForSsh(60);
      sizes.push(Number((await vm.ssh('df --output=size -BM / | tail -1')).stdout.trim().replace('M', '')));
      await vm.powerOff(120);
    }
    const [small = 0, large = 0] = sizes;
    lab.note(`root: ${small} MiB, then ${large} MiB`);
    assert.ok(small > 2000 && large - small > 5500, sizes.join(' '));
  },
};

async function bootOn(lab: Lab, what: string, hardware: Parameters<Lab['boot']>[1]): Promise<void> {
  const machine = await lab.machine();
  const path = await lab.config('config', configFor(machine));
  const vm = await lab.boot(machine, {...fwCfg(path), ...hardware});
  await vm.waitFor(firstBootDone, 250, initrdFailed);
  const up = await vm.waitFor(healthy, 300, initrdFailed);
  await vm.waitForSsh(60);
  const free = (await vm.ssh('free -m | grep ^Mem')).stdout.trim();
  lab.note(
    `${what}: healthy after ${up.wallSeconds.toFixed(0)} s wall, ${up.cpuSeconds.toFixed(0)} CPU s; ${free}`,
  );
  await vm.stop();
}

export const memoryCase: Case = {
  name: 'memory-512',
  title: 'a full first boot with 512 MiB of memory',
  limitSeconds: 500,
  run: lab => bootOn(lab, '512 MiB', {memoryMiB: 512}),
};

export const scsiCase: Case = {
  name: 'scsi',
  title: 'virtio-scsi disk, e1000e card',
  limitSeconds: 500,
  run: lab => bootOn(lab, 'virtio-scsi', {diskBus: 'virtio-scsi', nic: 'e1000e'}),
};

export const noSerialCase: Case = {
  name: 'no-serial',
  title: 'a machine without a serial line',
  limitSeconds: 400,
  async run(lab) {
    const machine = await lab.machine();
    const path = await lab.config('config', configFor(machine));
    const vm = await lab.boot(machine, {...fwCfg(path), serial: false, extraArgs: ['-device', 'VGA']});
    await vm.waitForSsh(350);
    lab.note(`SSH after ${vm.wallSeconds().toFixed(0)} s wall, ${vm.cpuSeconds().toFixed(0)} CPU s`);
    const facts = (await vm.ssh('cat /sys/class/tty/console/active; systemctl --failed --no-legend --plain'))
      .stdout;
    assert.equal(facts.trim(), 'tty0');
  },
};
