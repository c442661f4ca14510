/**
 * Records a machine that updates itself, by its own agent: its first boot without a log, then every write and flush of
 * its disk, from the boot before the first update to its return into service after the last one.
 */
import {copyFile, mkdir, rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {exec} from '../../../services/common/exec.ts';
// The campaign drives the machine as the tests do.
// oxlint-disable no-restricted-imports
import {fwCfg, healthy, type Lab} from '../../../test/vm/first-boot/lab.ts';
import {makeRepository, releaseImage} from '../../../test/vm/update/releases.ts';
import {startStandIn} from '../../../test/vm/update/stand-in-server.ts';
import {
  address,
  makeCertificates,
  port,
  startContainer,
  startUpdate,
  until,
  updatableConfig,
} from '../../../test/vm/update/updatable.ts';
import {filesOf, saveRecording, type Recording} from './recording.ts';

const BOOT_SECONDS = 1500;
const initrdFailed = /HAWSER-INITRD-FAILED/;

export interface RecordOptions {
  /** Folders of images: the first one is installed, and updated to the others in turn. */
  readonly images: readonly string[];
  /** Where the recording goes. */
  readonly folder: string;
  readonly diskGiB: number;
}

export async function record(lab: Lab, {images, folder, diskGiB}: RecordOptions): Promise<void> {
  const files = filesOf(folder);
  await mkdir(folder, {recursive: true});
  for (const path of [...Object.values(files), join(folder, 'offline')])
    await rm(path, {recursive: true, force: true});
  const all = [];
  for (const image of images) all.push({image, ...(await releaseImage(image))});
  const [first, ...updates] = all;
  if (first === undefined || updates.length === 0) throw new Error('two images at least are needed');

  const repository = await makeRepository(folder, AbortSignal.timeout(2 * 3600 * 1000));
  for (const {image} of updates) await repository.publish(await releaseImage(image));
  lab.note(`${updates.length} releases published`);

  const tls = await makeCertificates();
  const server = await startStandIn(lab, {repository: repository.folder, address, port, tls: tls.server});
  const machine = await lab.machine({image: first.image, diskGiB});
  const config = await lab.config('config', updatableConfig(machine, {tls, root: repository.root}));
  const boot = await lab.boot(machine, {...fwCfg(config), network: [server.guestForward]});
  await boot.waitFor(healthy, BOOT_SECONDS, initrdFailed);
  await boot.waitForSsh(300);
  await boot.ssh(startContainer, {seconds: 180});
  await boot.powerOff(300);
  lab.note(`first boot: ${boot.wallSeconds().toFixed(0)} s, ${boot.cpuSeconds().toFixed(0)} CPU s`);

  await exec(['qemu-img', 'convert', '-q', '-O', 'raw', machine.disk.path, files.base], {timeoutMs: 600_000});
  await copyFile(machine.firmware.vars, files.vars);
  await copyFile(machine.sshKey, files.sshKey);
  await writeFile(files.log, ''); // QEMU opens it, and makes none
  const overlay = join(lab.folder, 'logged.qcow2');
  await exec(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', files.base, '-F', 'raw', overlay], {
    timeoutMs: 30_000,
  });
  const recording: Recording = {
    releases: all.map(({version, rootHash, image}) => ({version, rootHash, image})),
    secure: machine.firmware.secure,
    tls,
    milestones: [],
  };
  const vm = await lab.boot(
    {...machine, disk: {path: overlay, format: 'qcow2'}},
    {...fwCfg(config), network: [server.guestForward], writeLog: files.log},
  );
  const milestone = async (what: string, wanted: string) => {
    recording.milestones.push({what: `${wanted} ${what}`, wanted, logBytes: (await stat(files.log)).size});
    // At each, so that a recording that is cut short is one up to there.
    await saveRecording(folder, recording);
    lab.note(`${wanted} ${what}: ${vm.wallSeconds().toFixed(0)} s, ${vm.cpuSeconds().toFixed(0)} CPU s`);
  };
  await vm.waitFor(healthy, BOOT_SECONDS, initrdFailed);
  for (const {version} of updates) {
    await vm.waitForSsh(300);
    await milestone('is wanted', version);
    server.wanted = {action: 'apply', version};
    await startUpdate(vm);
    await until('the reboot lock to be asked for', 1200, () =>
      server.lock.some(line => line.startsWith('acquire') && line.endsWith(version)),
    );
    await milestone('is staged', version);
    await vm.waitFor(new RegExp(`HAWSER-HEALTHY ${version}`), BOOT_SECONDS, initrdFailed);
    await milestone('is healthy', version);
    await until('the lock to be released', 600, () => server.lock.includes(`release ${version}`));
    await milestone('is in service', version);
  }
  await vm.waitForSsh(300);
  // The log counts its entries at a flush: what comes after the last one is lost with the emulator.
  await vm.ssh('sudo sync && sleep 3 && sudo sync', {seconds: 120});
  await vm.stop();
}
