/** The platform is found at boot, and each platform's own road really brings the configuration. */
import assert from 'node:assert/strict';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {exec} from '../../../services/common/exec.ts';
import type {Machine} from '../../support/vm/machine.ts';
import type {VmOptions} from '../../support/vm/vm.ts';
import {configFor, file, firstBootDone, healthy, initrdFailed, type Case, type Lab} from './lab.ts';
import {serve} from './local-server.ts';

const metadata = '169.254.169.254';

/** A second card whose network holds nothing but the metadata service; it exists in the emulator alone. */
export function metadataCard(forward: string): string[] {
  return [
    '-netdev',
    `user,id=meta,restrict=on,net=169.254.169.0/24,host=169.254.169.2,dhcpstart=169.254.169.20,${forward}`,
    '-device',
    'virtio-net-pci,netdev=meta,romfile=,mac=52:54:00:0a:0b:0c',
  ];
}

/** Boots to the end of the first boot; the platform is the expected one and its config was written. */
async function provision(
  lab: Lab,
  machine: Machine,
  platform: string,
  options: Partial<VmOptions>,
): Promise<void> {
  const vm = await lab.boot(machine, options);
  const named = await vm.waitFor(/hawser: first boot: platform (\w+)/, 150, initrdFailed);
  assert.equal(named.match[1], platform);
  const done = await vm.waitFor(firstBootDone, 200, initrdFailed);
  assert.match(vm.console(), new RegExp(`\\[finished\\] writing file "[^"]*/etc/marker-${platform}"`));
  lab.note(
    `${platform}: from platform to done ${(done.wallSeconds - named.wallSeconds).toFixed(0)} s wall, ${(done.cpuSeconds - named.cpuSeconds).toFixed(0)} CPU s`,
  );
  await vm.stop();
}

function marked(machine: Machine, platform: string): string {
  return JSON.stringify(configFor(machine, {storage: {files: [file(`/etc/marker-${platform}`, 'here')]}}));
}

/** A FAT disk with one file, as a config drive is. */
async function fatDisk(lab: Lab, label: string, path: string, text: string): Promise<string[]> {
  const image = join(lab.folder, `${label}.img`);
  const source = join(lab.folder, `${label}.source`);
  await writeFile(source, text);
  await exec(['truncate', '-s', '8M', image], {timeoutMs: 10_000});
  await exec(['mkfs.vfat', '-n', label, image], {timeoutMs: 10_000});
  const folders = path.split('/').slice(1, -1);
  for (const [index] of folders.entries()) {
    await exec(['mmd', '-i', image, `::/${folders.slice(0, index + 1).join('/')}`], {timeoutMs: 10_000});
  }
  await exec(['mcopy', '-i', image, source, `::${path}`], {timeoutMs: 10_000});
  return [
    '-drive',
    `if=none,id=cfg,format=raw,readonly=on,file=${image}`,
    '-device',
    'virtio-blk-pci,drive=cfg',
  ];
}

export const awsCase: Case = {
  name: 'aws',
  title: 'EC2 by SMBIOS; user data from the metadata service, version 2 with a token, and version 1',
  limitSeconds: 600,
  async run(lab) {
    for (const version of [2, 1]) {
      const machine = await lab.machine();
      const seen: string[] = [];
      const forward = await serve(lab, metadata, 80, (request, response) => {
        const {method = '', url = '', headers} = request;
        seen.push(`${method} ${url}`);
        const token = headers['x-aws-ec2-metadata-token'];
        const asksForToken = method === 'PUT' && url === '/latest/api/token';
        if (asksForToken && version === 2 && headers['x-aws-ec2-metadata-token-ttl-seconds'] !== undefined) {
          response.end('the-token');
        } else if (version === 2 && token !== 'the-token') {
          response.writeHead(401).end();
        } else if (method === 'GET' && url.endsWith('/user-data')) {
          response.end(marked(machine, 'aws'));
        } else {
          response.writeHead(404).end();
        }
      });
      await provision(lab, machine, 'aws', {
        smbios: ['type=1,manufacturer=Amazon EC2,product=t3.micro'],
        extraArgs: metadataCard(forward),
      });
      lab.note(`metadata service version ${version}: ${seen.join(', ')}`);
      assert.ok(seen.some(line => /^GET .*\/user-data$/.test(line)));
      assert.equal(seen[0], 'PUT /latest/api/token');
    }
  },
};

export const openstackCase: Case = {
  name: 'openstack',
  title: 'OpenStack by SMBIOS; user data from a config drive, and from the metadata service',
  limitSeconds: 600,
  async run(lab) {
    const smbios = ['type=1,manufacturer=OpenStack Foundation,product=OpenStack Nova'];
    const drive = await lab.machine();
    await provision(lab, drive, 'openstack', {
      smbios,
      extraArgs: await fatDisk(lab, 'config-2', '/openstack/latest/user_data', marked(drive, 'openstack')),
    });
    const served = await lab.machine();
    const forward = await serve(lab, metadata, 80, (request, response) => {
      if (request.url === '/openstack/latest/user_data') response.end(marked(served, 'openstack'));
      else response.writeHead(404).end();
    });
    await provision(lab, served, 'openstack', {smbios, extraArgs: metadataCard(forward)});
  },
};

export const virtualboxCase: Case = {
  name: 'virtualbox',
  title:
    "VirtualBox's hardware (SATA, e1000) by SMBIOS; the configuration from a disk HAWSER-CFG; SSH answers",
  limitSeconds: 400,
  async run(lab) {
    const machine = await lab.machine();
    const config = JSON.stringify(
      configFor(machine, {storage: {files: [file('/etc/marker-virtualbox', 'here')]}}),
    );
    const vm = await lab.boot(machine, {
      smbios: ['type=1,manufacturer=innotek GmbH,product=VirtualBox'],
      diskBus: 'sata',
      nic: 'e1000',
      extraArgs: await fatDisk(lab, 'HAWSER-CFG', '/config.ign', config),
    });
    await vm.waitFor(/platform virtualbox/, 150, initrdFailed);
    await vm.waitFor(/configuration from the disk HAWSER-CFG/, 60, initrdFailed);
    await vm.waitFor(firstBootDone, 200, initrdFailed);
    const up = await vm.waitFor(healthy, 240, initrdFailed);
    lab.note(`healthy: ${up.wallSeconds.toFixed(0)} s wall, ${up.cpuSeconds.toFixed(0)} CPU s`);
    await vm.waitForSsh(60);
    assert.equal((await vm.ssh('cat /etc/marker-virtualbox')).stdout, 'here');
  },
};

export const metalCase: Case = {
  name: 'metal',
  title: 'unknown hardware without a configuration: boots, says that nobody may log in, and has no such user',
  limitSeconds: 300,
  async run(lab) {
    const machine = await lab.machine();
    const vm = await lab.boot(machine, {
      smbios: ['type=1,manufacturer=Shipyard,product=Hull 1'],
      diskBus: 'nvme',
    });
    await vm.waitFor(/platform metal/, 150, initrdFailed);
    await vm.waitFor(/names nobody who may log in/, 120, initrdFailed);
    await vm.waitFor(firstBootDone, 60, initrdFailed);
    const up = await vm.waitFor(healthy, 240, initrdFailed);
    lab.note(`healthy: ${up.wallSeconds.toFixed(0)} s wall, ${up.cpuSeconds.toFixed(0)} CPU s`);
    const refused = await vm.ssh('true', {okCodes: [255], seconds: 60});
    assert.match(refused.stderr, /Permission denied/);
  },
};
