/** A first boot that cannot work, and one that is cut off. */
import assert from 'node:assert/strict';
import {setTimeout as sleep} from 'node:timers/promises';
import {createEmptyDisk} from '../../support/vm/machine.ts';
import {writeFile} from 'node:fs/promises';
import {configFor, file, firstBootDone, fwCfg, initrdFailed, type Case} from './lab.ts';

export const badConfigCase: Case = {
  name: 'bad-config',
  title:
    'a configuration that cannot work: reboots ever more slowly, says why and what to do, heals when corrected',
  limitSeconds: 600,
  async run(lab) {
    const machine = await lab.machine();
    const secret = 'S3CRET-OF-THE-CONFIG';
    const broken = configFor(machine, {
      storage: {
        files: [
          file('/srv/written-first', 'left over'),
          file('/srv/zz-secret', secret),
          {
            path: '/srv/zzz',
            contents: {source: 'data:,x', verification: {hash: `sha512-${'0'.repeat(128)}`}},
          },
        ],
      },
    });
    const path = await lab.config('config', broken);
    const vm = await lab.boot(machine, {...fwCfg(path), cache: 'writeback', noReboot: true});
    const failed = await vm.waitFor(/HAWSER-FIRST-BOOT-FAILED[^]*next one begins in (\d+) s/, 200);
    await vm.waitFor(/HAWSER-INITRD-FAILED: rebooting/, 60);
    await vm.waitForEnd(60);
    assert.equal(failed.match[1], '5');
    assert.doesNotMatch(vm.console(), /Press Enter|emergency mode|login:/i, 'no prompt');
    assert.ok(!vm.console().includes(secret), 'the configuration is not on the console');
    // not even JSON
    await writeFile(path, '{"ignition": {"version": "3.3.0"}, ');
    const again = await lab.boot(machine, {...fwCfg(path), cache: 'writeback', noReboot: true});
    await again.waitFor(/starting over \(attempt 2\)/, 150);
    const parse = await again.waitFor(/HAWSER-FIRST-BOOT-FAILED[^]*next one begins in (\d+) s/, 200);
    assert.equal(parse.match[1], '10', 'the pause grows');
    assert.match(again.console(), /config is not valid|unexpected EOF|failed to parse/i);
    await again.waitForEnd(120);
    await writeFile(
      path,
      JSON.stringify(configFor(machine, {storage: {files: [file('/srv/written-first', 'right')]}})),
    );
    const healed = await lab.boot(machine, {...fwCfg(path), cache: 'writeback'});
    await healed.waitFor(firstBootDone, 200, initrdFailed);
    await healed.waitForSsh(200);
    assert.equal((await healed.ssh('cat /srv/written-first; ls /srv')).stdout, 'rightwritten-first\n');
  },
};

/** When the plug is pulled: at a line of the console, and so many milliseconds later. */
const cuts: readonly (readonly [RegExp, number])[] = [
  [/Starting systemd-repart\.service|Hawser initrd/, 2500],
  [/hawser: first boot: platform/, 100],
  [/hawser: first boot: stage disks/, 600],
  [/hawser: first boot: stage files/, 700],
  [/hawser: first boot: done/, 300],
];

export const powerCutCase: Case = {
  name: 'power-cut',
  title: 'the plug is pulled five times during the first boot: then it ends as if nothing had been',
  limitSeconds: 900,
  async run(lab) {
    const results: string[] = [];
    for (const plan of [[], cuts]) {
      const machine = await lab.machine();
      const data = await createEmptyDisk(machine, 'data', 256);
      const path = await lab.config(
        'config',
        configFor(machine, {
          storage: {
            disks: [
              {
                device: '/dev/disk/by-id/virtio-data',
                wipeTable: true,
                partitions: [{number: 1, label: 'data'}],
              },
            ],
            filesystems: [
              {
                device: '/dev/disk/by-partlabel/data',
                path: '/var/data',
                format: 'ext4',
                label: 'data',
                wipeFilesystem: true,
              },
            ],
            files: [
              file('/etc/hostname', 'cut\n', {overwrite: true}),
              file('/srv/a', 'one'),
              file('/var/data/b', 'two'),
              {path: '/srv/appended', append: [{source: 'data:,line'}]},
            ],
            links: [{path: '/srv/link', target: '/srv/a'}],
          },
          systemd: {
            units: [
              {
                name: 'tick.service',
                enabled: true,
                contents:
                  '[Service]\nType=oneshot\nExecStart=/usr/bin/true\n[Install]\nWantedBy=multi-user.target\n',
              },
            ],
          },
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
      for (const [at, milliseconds] of plan) {
        const vm = await lab.boot(machine, hardware);
        const seen = await vm.waitFor(at, 200, initrdFailed);
        await sleep(milliseconds);
        await vm.stop();
        lab.note(`cut ${milliseconds} ms behind "${seen.match[0]}"`);
      }
      const vm = await lab.boot(machine, hardware);
      await vm.waitFor(/Reached target.*basic\.target[^]*login:/, 400, initrdFailed);
      await vm.waitForSsh(100);
      const script = [
        'cat /etc/hostname /srv/a /srv/appended; readlink /srv/link',
        'sudo mkdir -p /mnt/d && sudo mount /dev/disk/by-partlabel/data /mnt/d && cat /mnt/d/b; ls /mnt/d; sudo umount /mnt/d; sudo rmdir /mnt/d',
        'systemctl is-enabled tick.service',
        'id core; sudo grep -c . /etc/passwd /etc/group /etc/subuid',
        // what Ignition and the image made, by name, kind, mode and owner
        'sudo find / -xdev \\( -path /run -o -path /proc -o -path /sys -o -path /dev -o -path /usr -o -path /tmp -o -path "/var/log/journal/*" -o -path "/var/lib/docker/*" -o -path "/var/lib/containerd/*" -o -path "/var/tmp/*" -o -path "/var/lib/hawser/etc*" -o -path /root/.ssh \\) -prune -o -printf "%y %m %U %G %p %l\\n" | sort',
        'sudo find /etc -xdev -printf "%y %m %U %G %p %l\\n" | sort',
      ].join('\n');
      results.push((await vm.ssh(script)).stdout);
      await vm.stop();
    }
    const [plain = '', cut = ''] = results;
    assert.match(plain, /^one/m);
    assert.deepEqual(cut.split('\n'), plain.split('\n'));
  },
};
