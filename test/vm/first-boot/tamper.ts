/** What dm-verity and Secure Boot refuse. */
import assert from 'node:assert/strict';
import {mkdir, open, readFile, readdir, writeFile} from 'node:fs/promises';
import {setTimeout as sleep} from 'node:timers/promises';
import {join} from 'node:path';
import {detachSignature} from '../../../image-build/formats/pe-signature.ts';
import {execInRoot} from '../../../image-build/tools-root.ts';
import {partitionType, slotPartitionUuids} from '../../../services/common/contracts/slots.ts';
import {exec} from '../../../services/common/exec.ts';
import {openFileSource} from '../../../services/common/formats/file-source.ts';
import {findPartition, readGpt} from '../../../services/common/formats/gpt.ts';
import {resolvePaths} from '../../../services/common/paths.ts';
import type {Machine} from '../../support/vm/machine.ts';
import {configFor, firstBootDone, fwCfg, type Case, type Lab} from './lab.ts';

const BLOCK = 4096;

/** Offset of the release's slot on the raw disk. */
async function slotOffset(machine: Machine): Promise<number> {
  const {data} = slotPartitionUuids(machine.manifest.rootHash);
  return partitionOffset(machine, {type: partitionType.usr, uuid: data});
}

async function partitionOffset(machine: Machine, wanted: {type: string; uuid?: string}): Promise<number> {
  await using disk = await openFileSource(machine.disk.path);
  return findPartition(await readGpt(disk), wanted).offset;
}

/** The disk and the place of its ESP, as mtools take them. */
async function espOf(machine: Machine): Promise<string> {
  return `${machine.disk.path}@@${await partitionOffset(machine, {type: partitionType.esp})}`;
}

async function flip(path: string, offset: number): Promise<void> {
  const disk = await open(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await disk.read(byte, 0, 1, offset);
    byte.writeUInt8(byte.readUInt8() ^ 0xff);
    await disk.write(byte, 0, 1, offset);
  } finally {
    await disk.close();
  }
}

/** The one UKI's name, with its counter. */
async function ukiName(machine: Machine): Promise<string> {
  const {stdout} = await exec(['mdir', '-b', '-i', await espOf(machine), '::/EFI/Linux'], {
    timeoutMs: 10_000,
  });
  return stdout.trim().split('/').at(-1) ?? '';
}

/** Signs the UKI on the disk with a fresh key, by the tools root of the last build. */
async function signWithOtherKey(lab: Lab, machine: Machine): Promise<void> {
  const folder = join(lab.folder, 'foreign');
  await mkdir(folder);
  const esp = await espOf(machine);
  const name = `::/EFI/Linux/${await ukiName(machine)}`;
  await exec(['mcopy', '-o', '-i', esp, name, join(folder, 'in.efi')], {timeoutMs: 60_000});
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', join(folder, 'key'), '-out', join(folder, 'crt')];
  await exec(['openssl', 'req', '-x509', ...key, '-days', '2', '-subj', '/CN=other'], {timeoutMs: 20_000});
  const roots = join(resolvePaths(process.env).cache, 'roots');
  const tools = (await readdir(roots)).find(entry => entry.startsWith('tools-'));
  assert.ok(tools !== undefined, `no tools root below ${roots}: build an image first`);
  await execInRoot({
    root: join(roots, tools),
    binds: {[folder]: '/sign'},
    argv: [
      '/usr/lib/systemd/systemd-sbsign',
      'sign',
      '--private-key=/sign/key',
      '--certificate=/sign/crt',
      '--output=/sign/out.efi',
      '/sign/in.efi',
    ],
    timeoutMs: 60_000,
    signal: AbortSignal.timeout(60_000),
  });
  await exec(['mcopy', '-o', '-i', esp, join(folder, 'out.efi'), name], {timeoutMs: 60_000});
}

async function replaceUki(lab: Lab, machine: Machine, change: (uki: Buffer) => Uint8Array): Promise<void> {
  const esp = await espOf(machine);
  const name = `::/EFI/Linux/${await ukiName(machine)}`;
  const path = join(lab.folder, 'changed.efi');
  await exec(['mcopy', '-o', '-i', esp, name, path], {timeoutMs: 60_000});
  await writeFile(path, change(await readFile(path)));
  await exec(['mcopy', '-o', '-i', esp, path, name], {timeoutMs: 60_000});
}

export const verityBootCase: Case = {
  name: 'verity-boot',
  title: 'a changed block of /usr that the boot reads: refused, reboots by itself, tries are counted',
  limitSeconds: 500,
  async run(lab) {
    const machine = await lab.machine({disk: 'raw'});
    assert.match(await ukiName(machine), /\+3\.efi$/);
    await flip(machine.disk.path, (await slotOffset(machine)) + 1024 + 64);
    for (const left of ['+2-1', '+1-2']) {
      const vm = await lab.boot(machine, {noReboot: true, cache: 'writeback'});
      const kernel = await vm.waitFor(/Hawser initrd/, 120);
      const refused = await vm.waitFor(/dm-verity device corrupted|Kernel panic/, 150);
      await vm.waitForEnd(90);
      lab.note(
        `refused ${(refused.wallSeconds - kernel.wallSeconds).toFixed(0)} s after the initrd began, rebooted ${(vm.wallSeconds() - refused.wallSeconds).toFixed(0)} s later`,
      );
      assert.ok((await ukiName(machine)).endsWith(`${left}.efi`), await ukiName(machine));
    }
  },
};

export const verityLaterCase: Case = {
  name: 'verity-later',
  title: 'a changed block of /usr that is read only later: the machine panics and reboots',
  limitSeconds: 400,
  async run(lab) {
    const machine = await lab.machine({disk: 'raw'});
    const {usr} = machine.manifest.artefacts;
    assert.ok(usr !== undefined);
    const image = await readFile(join(machine.image, usr.file));
    // A string of docker-compose alone, deep inside the program: no boot reads it.
    const at = image.indexOf('compose.(*composeService).attach');
    assert.ok(at > 0, 'the block of docker-compose was found');
    const offset = Math.floor(at / BLOCK) * BLOCK + 8 * BLOCK;
    await flip(machine.disk.path, (await slotOffset(machine)) + offset);
    const path = await lab.config('config', configFor(machine));
    const vm = await lab.boot(machine, {...fwCfg(path), noReboot: true, cache: 'writeback'});
    await vm.waitFor(firstBootDone, 300, /Kernel panic|HAWSER-INITRD-FAILED/);
    await vm.waitForSsh(250);
    const started = vm.wallSeconds();
    const reading = vm
      .ssh('cat /usr/libexec/docker/cli-plugins/docker-compose | wc -c', {okCodes: [0, 255], seconds: 60})
      .catch(() => undefined);
    const panic = await vm.waitFor(/Kernel panic[^\n]*/, 60);
    lab.note(`${panic.match[0]}: ${(panic.wallSeconds - started).toFixed(1)} s after the read began`);
    await vm.waitForEnd(60);
    lab.note(`rebooted ${(vm.wallSeconds() - panic.wallSeconds).toFixed(1)} s after the panic`);
    await reading;
  },
};

/** Boots under Secure Boot; the kernel must not start. */
async function refusedByFirmware(lab: Lab, machine: Machine, what: string): Promise<void> {
  const vm = await lab.boot(machine, {cache: 'writeback'});
  const refused = await vm.waitFor(
    /Security Violation|Access Denied|Error loading|Error preparing|Unauthorized/i,
    120,
    /Hawser initrd|Linux version/,
  );
  lab.note(`${what}: "${refused.match[0]}" after ${refused.wallSeconds.toFixed(0)} s`);
  await sleep(8000);
  assert.doesNotMatch(vm.console(), /Hawser initrd|systemd\[1\]/);
  await vm.stop();
}

export const secureBootCase: Case = {
  name: 'secure-boot',
  title: 'Secure Boot: the signed image boots, and the firmware says that it enforces',
  limitSeconds: 600,
  async run(lab) {
    const good = await lab.machine({firmware: 'secure-boot', disk: 'raw'});
    const path = await lab.config('config', configFor(good));
    const vm = await lab.boot(good, {...fwCfg(path), cache: 'writeback'});
    await vm.waitFor(firstBootDone, 200);
    await vm.waitForSsh(200);
    const variable =
      'od -An -t u1 -j 4 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c';
    assert.equal((await vm.ssh(variable)).stdout.trim(), '1', 'the firmware enforces Secure Boot');
    await vm.stop();
  },
};

function withoutSignature(uki: Buffer): Uint8Array {
  return detachSignature(uki).unsigned;
}

export const foreignUkiCase: Case = {
  name: 'foreign-uki',
  title: 'Secure Boot: a changed UKI, one signed by other keys and one unsigned are refused',
  limitSeconds: 600,
  async run(lab) {
    const changed = await lab.machine({firmware: 'secure-boot', disk: 'raw'});
    await replaceUki(lab, changed, uki => {
      const copy = Buffer.from(uki);
      const at = copy.indexOf('panic-on-corruption');
      copy.write('ignore-corruption  ', at);
      return copy;
    });
    await refusedByFirmware(lab, changed, 'changed command line in the UKI');

    const foreign = await lab.machine({firmware: 'secure-boot', disk: 'raw'});
    await replaceUki(lab, foreign, withoutSignature);
    await signWithOtherKey(lab, foreign);
    await refusedByFirmware(lab, foreign, 'UKI signed by another key');

    const unsigned = await lab.machine({firmware: 'secure-boot', disk: 'raw'});
    await replaceUki(lab, unsigned, withoutSignature);
    await refusedByFirmware(lab, unsigned, 'UKI without a signature');
  },
};
