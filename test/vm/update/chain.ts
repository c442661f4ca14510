/**
 * The life of a machine: boot, container, update from inside, bless, an unhealthy release, fall-back. One VM from its
 * first boot on, with a real repository, real payloads and the image's own agent; the server is a stand-in.
 */
import assert from 'node:assert/strict';
import {join} from 'node:path';
import {fwCfg, healthy, type Lab} from '../first-boot/lab.ts';
import {makeRepository, releaseImage, type TestRepository} from './releases.ts';
import {startStandIn} from './stand-in-server.ts';
import {
  address,
  makeCertificates,
  port,
  startContainer,
  startUpdate,
  until,
  updatableConfig,
} from './updatable.ts';

const BOOT_SECONDS = 1500;
/** A kernel that panics is no end: the boot is tried again, and counted. */
const initrdFailed = /HAWSER-INITRD-FAILED/;

export interface ChainImages {
  /** Folders of images: the first boots, the second is installed, the third fails its check. */
  readonly good: {readonly image: string; readonly version: string};
  readonly bad: {readonly image: string; readonly version: string};
  readonly first: string;
}

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
  const config = updatableConfig(machine, {
    tls,
    root: repository.root,
    health: {
      '50-version': `#!/bin/sh\n! grep -qx 'VERSION_ID="*${images.bad.version}"*' /usr/lib/os-release\n`,
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
  await startUpdate(vm);
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
  await startUpdate(vm);
  await vm.waitFor(new RegExp(`HAWSER-HEALTHY ${images.good.version}`), 2 * BOOT_SECONDS, initrdFailed);
  note('fell back');
  await vm.waitForSsh(300);
  await startUpdate(vm);
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

/** Where the chain's images are built. */
export function chainHome(home: string): string {
  return join(home, 'update-chain');
}
