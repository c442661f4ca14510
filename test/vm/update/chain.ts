/**
 * The life of a machine: boot, container, update from inside, bless, an unhealthy release, fall-back. One VM from its
 * first boot on, with a real repository, real payloads and the image's own agent; the server is a stand-in.
 */
import assert from 'node:assert/strict';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {serverStableName} from '../../../services/common/contracts/server.ts';
import {
  createCa,
  createLeafKey,
  loadSigner,
  signLeaf,
} from '../../../services/provisioner/enrolment/certificates.ts';
import type {Vm} from '../../support/vm/vm.ts';
import {configFor, file, fwCfg, healthy, type Lab} from '../first-boot/lab.ts';
import {makeRepository, releaseImage, type TestRepository} from './releases.ts';
import {startStandIn} from './stand-in-server.ts';

const address = '10.0.2.100';
const port = 8443;
const BOOT_SECONDS = 1500;
/** A kernel that panics is no end: the boot is tried again, and counted. */
const initrdFailed = /HAWSER-INITRD-FAILED/;

export interface ChainImages {
  /** Folders of images: the first boots, the second is installed, the third fails its check. */
  readonly good: {readonly image: string; readonly version: string};
  readonly bad: {readonly image: string; readonly version: string};
  readonly first: string;
}

/** A container out of the host's own programs: nothing has to be fetched. */
const startContainer = `
mkdir -p /tmp/r/usr && ln -sfn usr/lib /tmp/r/lib && ln -sfn usr/lib64 /tmp/r/lib64 &&
tar -c -C /tmp/r . | docker import - base > /dev/null &&
docker run -d --name web --restart=always --network=none -v /usr:/usr:ro base /usr/bin/sleep infinity > /dev/null`;

/** Publishes the two releases below `folder`: minutes of work, to be done before the machine starts. */
export async function publishReleases(
  folder: string,
  images: ChainImages,
): Promise<Pick<TestRepository, 'folder' | 'root'>> {
  const repository = await makeRepository(folder, AbortSignal.timeout(2 * 3600 * 1000));
  for (const {image} of [images.good, images.bad]) await repository.publish(await releaseImage(image));
  return repository;
}

export async function runChain(
  lab: Lab,
  images: ChainImages,
  repository: Pick<TestRepository, 'folder' | 'root'>,
): Promise<void> {
  const tls = await makeCertificates();
  const server = await startStandIn(lab, {repository: repository.folder, address, port, tls: tls.server});
  const machine = await lab.machine();
  const config = configFor(machine, {
    storage: {
      files: [
        file(
          '/etc/hawser/update.json',
          JSON.stringify({
            server: `https://${address}:${port}/`,
            labels: {role: 'test'},
            drain: {leaveSeconds: 1, timeoutSeconds: 60},
            health: {timeoutSeconds: 60, settleSeconds: 2},
          }),
        ),
        file('/etc/hawser/tuf-root.json', Buffer.from(repository.root).toString('utf8')),
        file('/etc/hawser/fleet-ca.pem', tls.server.ca),
        file('/etc/docker/tls/server.pem', tls.machine.certificate),
        file('/etc/docker/tls/server-key.pem', tls.machine.key, {mode: 0o600}),
        file(
          '/etc/hawser/health.d/50-version',
          `#!/bin/sh\n! grep -qx 'VERSION_ID="*${images.bad.version}"*' /usr/lib/os-release\n`,
          {mode: 0o755},
        ),
        // The test says when: no run by a timer in between.
        file(
          '/etc/systemd/system/hawser-update.timer.d/10-test.conf',
          '[Timer]\nOnBootSec=\nOnUnitInactiveSec=\nOnActiveSec=1d\n',
        ),
      ],
    },
  });
  const path = await lab.config('config', config);
  const vm = await lab.boot(machine, {...fwCfg(path), network: [server.guestForward], cache: 'writeback'});
  const note = (what: string) =>
    lab.note(`${what} (${vm.wallSeconds().toFixed(0)} s, ${vm.cpuSeconds().toFixed(0)} CPU s)`);
  await vm.waitFor(healthy, BOOT_SECONDS, initrdFailed);
  await vm.waitForSsh(300);
  note('first boot');
  await vm.ssh(startContainer, {seconds: 180});
  assert.match((await vm.ssh('curl -s -i http://127.0.0.1:7070/')).stdout, /200 OK[\s\S]*ready/);

  // Update from inside.
  server.wanted = {action: 'apply', version: images.good.version};
  await start(vm);
  await vm.waitFor(new RegExp(`HAWSER-HEALTHY ${images.good.version}`), BOOT_SECONDS, initrdFailed);
  note(`${images.good.version} is healthy; ${server.repositoryBytes} bytes came from the repository`);
  await until('the lock to be released', 600, () =>
    server.lock.some(line => line === `release ${images.good.version}`),
  );
  note('back in service');
  await vm.waitForSsh(300);
  assert.deepEqual(
    server.lock.filter(line => !line.startsWith('acquire')),
    [
      'phase draining',
      'phase rebooting',
      'phase proving',
      'phase returning',
      `release ${images.good.version}`,
    ],
  );
  assert.match(
    (await vm.ssh('sudo ls /boot/EFI/Linux')).stdout,
    new RegExp(`^hawser_${images.good.version}.efi$`, 'm'),
  );
  assert.equal((await vm.ssh("docker inspect -f '{{.State.Running}}' web")).stdout.trim(), 'true');
  assert.match((await vm.ssh('sudo hawserctl status')).stdout, new RegExp(`version +${images.good.version}`));

  // A release that boots and is not healthy.
  server.lock.length = 0;
  server.wanted = {action: 'apply', version: images.bad.version};
  await start(vm);
  await vm.waitFor(new RegExp(`HAWSER-HEALTHY ${images.good.version}`), 2 * BOOT_SECONDS, initrdFailed);
  note('fell back');
  await vm.waitForSsh(300);
  await start(vm);
  await until('the lock to be released', 600, () => server.lock.includes(`release ${images.good.version}`));
  const last = server.checks.at(-1);
  assert.equal(last?.version, images.good.version);
  assert.deepEqual(
    last?.failed.map(({version, reason}) => [version, reason]),
    [[images.bad.version, 'unhealthy']],
  );
  const history = (await vm.ssh('sudo hawserctl history')).stdout;
  lab.note(history);
  assert.equal((await vm.ssh("docker inspect -f '{{.State.Running}}' web")).stdout.trim(), 'true');

  // And is never tried again.
  const before = server.lock.length;
  await vm.ssh('sudo hawserctl check', {seconds: 120});
  assert.equal(server.lock.length, before);
  note('the failed release is not tried again');
  await vm.powerOff(120);
}

async function start(vm: Vm): Promise<void> {
  await vm.ssh('sudo systemctl start --no-block hawser-update.service');
}

async function until(what: string, seconds: number, done: () => boolean): Promise<void> {
  for (let left = seconds; !done(); left -= 1) {
    if (left <= 0) throw new Error(`waited ${seconds} s for ${what}`);
    await sleep(1000);
  }
}

async function makeCertificates() {
  const validity = {notBefore: new Date('2020-01-01'), notAfter: new Date('2099-01-01')};
  const ca = await createCa('a fleet', validity);
  const signer = await loadSigner(ca);
  const [server, machine] = [await createLeafKey(), await createLeafKey()];
  return {
    server: {
      ca: ca.certificate,
      key: server.key,
      certificate: await signLeaf(signer, {
        commonName: 'server',
        publicKey: server.publicKey,
        use: ['server'],
        names: {dns: [serverStableName], ip: []},
        ...validity,
      }),
    },
    machine: {
      key: machine.key,
      certificate: await signLeaf(signer, {
        commonName: 'machine',
        publicKey: machine.publicKey,
        use: ['client'],
        ...validity,
      }),
    },
  };
}

/** Where the chain's images are built. */
export function chainHome(home: string): string {
  return join(home, 'update-chain');
}
