/** The disks stage: a second disk partitioned, formatted, filled and mounted, and found again. */
import assert from 'node:assert/strict';
import {createEmptyDisk} from '../../support/vm/machine.ts';
import {configFor, file, firstBootDone, fwCfg, healthy, initrdFailed, type Case} from './lab.ts';

const disk = '/dev/disk/by-id/virtio-data';

function mountUnit(name: string, format: string): Record<string, unknown> {
  const contents = [
    '[Unit]',
    `Requires=systemd-fsck@dev-disk-by\\x2dpartlabel-${name}.service`,
    `After=systemd-fsck@dev-disk-by\\x2dpartlabel-${name}.service`,
    '[Mount]',
    `Where=/srv/${name}`,
    `What=/dev/disk/by-partlabel/${name}`,
    `Type=${format}`,
    '[Install]',
    'RequiredBy=local-fs.target',
    '',
  ];
  return {name: `srv-${name}.mount`, enabled: true, contents: contents.join('\n')};
}

export const disksCase: Case = {
  name: 'disks',
  title: 'second disk: partitions, ext4 and xfs, files in them, mounted by units, again after a reboot',
  limitSeconds: 600,
  async run(lab) {
    const machine = await lab.machine();
    const data = await createEmptyDisk(machine, 'data', 2048);
    const filesystem = (name: string, format: string) => ({
      device: `/dev/disk/by-partlabel/${name}`,
      path: `/srv/${name}`,
      format,
      label: name,
      wipeFilesystem: true,
    });
    const path = await lab.config(
      'config',
      configFor(machine, {
        storage: {
          disks: [
            {
              device: disk,
              wipeTable: true,
              partitions: [
                {number: 1, label: 'four', sizeMiB: 512, startMiB: 0},
                {number: 2, label: 'ex', sizeMiB: 0, startMiB: 0},
              ],
            },
          ],
          filesystems: [filesystem('four', 'ext4'), filesystem('ex', 'xfs')],
          files: [file('/srv/four/note', 'on ext4', {user: {name: 'core'}}), file('/srv/ex/note', 'on xfs')],
        },
        systemd: {units: [mountUnit('four', 'ext4'), mountUnit('ex', 'xfs')]},
      }),
    );
    const hardware = {
      ...fwCfg(path),
      cache: 'writeback' as const,
      extraArgs: [
        '-drive',
        `if=none,id=data,format=qcow2,file=${data}`,
        '-device',
        'virtio-blk-pci,drive=data,serial=data',
      ],
    };
    const script =
      'findmnt -rno TARGET,FSTYPE /srv/four; findmnt -rno TARGET,FSTYPE /srv/ex; cat /srv/four/note; echo; cat /srv/ex/note; echo; stat -c %U /srv/four/note; systemctl --failed --no-legend --plain';
    const expected = '/srv/four ext4\n/srv/ex xfs\non ext4\non xfs\ncore\n';
    const vm = await lab.boot(machine, hardware);
    const disks = await vm.waitFor(/stage disks/, 150, initrdFailed);
    const done = await vm.waitFor(firstBootDone, 150, initrdFailed);
    lab.note(
      `disks, mount and files: ${(done.wallSeconds - disks.wallSeconds).toFixed(0)} s wall, ${(done.cpuSeconds - disks.cpuSeconds).toFixed(0)} CPU s`,
    );
    await vm.waitForSsh(200);
    assert.equal((await vm.ssh(script)).stdout, expected);
    await vm.ssh('sudo sh -c "echo more > /srv/ex/more; sync"');
    await vm.ssh('sudo systemctl reboot', {okCodes: [0, 255]});
    await vm.waitFor(/EFI stub|Hawser initrd/, 120);
    await vm.waitFor(healthy, 240, initrdFailed);
    await vm.waitForSsh(60);
    assert.equal((await vm.ssh(`${script}; cat /srv/ex/more`)).stdout, `${expected}more\n`);
  },
};
