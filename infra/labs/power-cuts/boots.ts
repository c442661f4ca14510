/** The riskiest of the rebuilt disks are booted: each must come up with a whole release and finish the update. */
import {copyFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {openFileSource} from '../../../services/common/formats/file-source.ts';
// oxlint-disable no-restricted-imports -- the campaign drives the machine as the tests do
import type {Lab} from '../../../test/vm/first-boot/lab.ts';
import {startStandIn} from '../../../test/vm/update/stand-in-server.ts';
import {address, port, startUpdate, until} from '../../../test/vm/update/updatable.ts';
import type {BootMachine} from '../../../test/support/vm/machine.ts';
import type {Vm} from '../../../test/support/vm/vm.ts';
import {createRandom} from '../random.ts';
import {readLayout} from './areas.ts';
import type {Judged} from './campaign.ts';
import {epochsOf, keptWrites} from './cuts.ts';
import {openWriteLog} from './log-file.ts';
import {RebuiltDisk} from './rebuilt-disk.ts';
import {filesOf, loadRecording} from './recording.ts';

const BOOT_SECONDS = 1500;
const initrdFailed = /HAWSER-INITRD-FAILED/;

/**
 * Chooses `count` of the cuts, one of each kind before a second one of any. A kind is what was going on, what the agent
 * would go on from, and what the cut left behind; those that left something torn or twofold come first.
 */
export function riskiest(judged: readonly Judged[], count: number): Judged[] {
  const kinds = new Map<string, Judged[]>();
  for (const one of judged) {
    const risky = one.areas.some(area => area.startsWith('gpt') || area.startsWith('esp'));
    if (!risky && one.verdict.remarks.length === 0) continue;
    const kind = JSON.stringify([one.after, one.areas.toSorted(), one.verdict.remarks.toSorted()]);
    kinds.set(kind, [...(kinds.get(kind) ?? []), one]);
  }
  const groups = [...kinds.values()].sort(
    (a, b) => (b[0]?.verdict.remarks.length ?? 0) - (a[0]?.verdict.remarks.length ?? 0),
  );
  const chosen: Judged[] = [];
  for (let round = 0; chosen.length < count && groups.some(group => group.length > round); round += 1)
    chosen.push(...groups.flatMap(group => group[round] ?? []).slice(0, count - chosen.length));
  return chosen.sort((a, b) => a.cut.at - b.cut.at);
}

export interface BootOptions {
  readonly folder: string;
  readonly work: string;
  readonly cut: Judged;
}

/** Boots the disk of one cut, and waits until the machine runs the wanted release and is in service. */
export async function bootCut(lab: Lab, {folder, work, cut}: BootOptions): Promise<void> {
  const files = filesOf(folder);
  const recording = await loadRecording(folder);
  const disk = join(work, 'boot.raw');
  lab.teardown(() => rm(disk, {force: true}));
  await rebuild(files, cut, work, disk);
  const server = await startStandIn(lab, {
    repository: files.repository,
    address,
    port,
    tls: recording.tls.server,
  });
  server.wanted = {action: 'apply', version: cut.wanted};
  const [vars, sshKey] = [join(lab.folder, 'vars.fd'), join(lab.folder, 'id')];
  await copyFile(files.vars, vars);
  await copyFile(files.sshKey, sshKey);
  const code = `/usr/share/OVMF/${recording.secure ? 'OVMF_CODE_4M.secboot.fd' : 'OVMF_CODE_4M.fd'}`;
  const machine: BootMachine = {
    folder: lab.folder,
    disk: {path: disk, format: 'raw'},
    firmware: {code, vars, secure: recording.secure},
    sshKey,
  };
  const vm = await lab.boot(machine, {network: [server.guestForward]});
  const {match} = await vm.waitFor(/HAWSER-HEALTHY (\S+)/, BOOT_SECONDS, initrdFailed);
  const [, version = ''] = match;
  lab.note(`came up with ${version} (${vm.wallSeconds().toFixed(0)} s)`);
  await vm.waitForSsh(300);
  if (version !== cut.wanted) await untilUpdated(vm, cut.wanted);
  // A lock that was given back before the cut is not given back twice; the agent says when it is at rest.
  for (let left = 60; ; left -= 1) {
    const {stdout} = await vm.ssh('sudo systemctl start hawser-update.service; sudo hawserctl status', {
      seconds: 300,
    });
    if (new RegExp(`version +${cut.wanted}`).test(stdout) && /phase +idle/.test(stdout)) break;
    if (left === 0) throw new Error(`the machine does not come to rest:\n${stdout}`);
  }
  const acquired = server.lock.filter(line => line.startsWith('acquire')).length;
  await until('the lock to be given back', 60, () => {
    const released = server.lock.filter(line => line === `release ${cut.wanted}`).length;
    return acquired === 0 || released > 0;
  });
  const failed = server.checks.at(-1)?.failed ?? [];
  if (failed.length > 0) throw new Error(`the machine calls ${failed[0]?.version} failed`);
  lab.note(
    `${cut.wanted} is in service (${vm.wallSeconds().toFixed(0)} s, ${vm.cpuSeconds().toFixed(0)} CPU s)`,
  );
  await vm.stop();
}

/** Starts the agent again and again: where a cut makes it put the update off, its next run may be an hour away. */
async function untilUpdated(vm: Vm, version: string): Promise<void> {
  const healthy = new RegExp(`HAWSER-HEALTHY ${version}`);
  for (let seconds = 0; !healthy.test(vm.console()); seconds += 5) {
    if (seconds > BOOT_SECONDS)
      throw new Error(`not updated to ${version}; the end of its console:\n${vm.console().slice(-3000)}`);
    // Refused while it reboots.
    if (seconds % 60 === 0) await startUpdate(vm).catch(() => undefined);
    await sleep(5000);
  }
  await vm.waitForSsh(300);
}

async function rebuild(
  files: ReturnType<typeof filesOf>,
  {cut}: Judged,
  work: string,
  target: string,
): Promise<void> {
  await using writes = await openWriteLog(files.log);
  await using base = await openFileSource(files.base);
  const layout = await readLayout(base);
  const epoch = epochsOf(writes.entries)[cut.epoch];
  if (epoch === undefined) throw new Error(`the log has no epoch ${cut.epoch}`);
  await using disk = await RebuiltDisk.create(writes, layout, {base: files.base, folder: work});
  await disk.advance(epoch.first);
  await disk.copyDisk(keptWrites(writes.entries, epoch, cut.at, createRandom(cut.seed)), target);
  await rm(disk.diskPath);
  await rm(disk.rootPath);
}
