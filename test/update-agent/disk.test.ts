import {mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {partitionType, slotPartitionUuids} from '../../services/common/contracts/slots.ts';
import {exec} from '../../services/common/exec.ts';
import {PayloadError} from '../../services/common/payload/errors.ts';
import type {StageRequest, StageResult} from '../../services/common/payload/ports.ts';
import {loaderVariables} from '../../services/update-agent/adapters/efi-variables.ts';
import {Esp} from '../../services/update-agent/adapters/esp.ts';
import {readFacts, type KernelPlaces} from '../../services/update-agent/adapters/facts.ts';
import {readPartitions} from '../../services/update-agent/adapters/gpt-disk.ts';
import {recordFile} from '../../services/update-agent/adapters/record-file.ts';
import {slotWriter} from '../../services/update-agent/adapters/slot-writer.ts';
import {UpdateAgentError} from '../../services/update-agent/errors.ts';
import {encodeLoadOption} from '../../services/update-agent/load-option.ts';
import {emptyRecord} from '../../services/update-agent/record.ts';
import {manifest, rootHashOf} from './support.ts';

const MIB = 1024 * 1024;
const own = {version: '1.0.0', rootHash: rootHashOf('1.0.0')};
test('a boot option for the firmware, byte by byte as efibootmgr writes it', t => {
  const option = encodeLoadOption({
    description: 'x',
    partition: {number: 1, uuid: '01234567-89ab-cdef-0123-456789abcdef', firstLba: 2048, sectors: 0x200000},
    path: '\\A',
  });
  t.is(
    Buffer.from(option).toString('hex'),
    [
      '010000003800', // active; 42 + 10 + 4 bytes of path
      '78000000', // "x"
      '04012a00010000000008000000000000000020000000000067452301ab89efcd0123456789abcdef0202',
      '04040a005c0041000000',
      '7fff0400',
    ].join(''),
  );
});

const loaderGuid = '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f';

/** A host as the agent sees it: /proc, /sys, a disk by sfdisk with the release 1.0.0 in slot A, and an ESP folder. */
async function host(t: ExecutionContext) {
  const root = await mkdtemp(join(tmpdir(), 'hawser-host-'));
  t.teardown(() => rm(root, {recursive: true}));
  const write = async (path: string, text: string) => {
    await mkdir(dirname(join(root, path)), {recursive: true});
    await writeFile(join(root, path), text);
  };
  const places: KernelPlaces = {
    proc: join(root, 'proc'),
    sys: join(root, 'sys'),
    dev: join(root, 'dev'),
    osRelease: join(root, 'os-release'),
  };
  await write('proc/cmdline', `rw usrhash=${own.rootHash} quiet\n`);
  await write('proc/sys/kernel/random/boot_id', '11111111-2222-4333-8444-555555555555\n');
  await write('os-release', 'NAME="Hawser"\nVERSION_ID=1.0.0\n');
  const block = 'sys/devices/pci/block/vda';
  await write(`${block}/size`, `${(64 * MIB) / 512}\n`);
  await write(`${block}/queue/logical_block_size`, '512\n');
  for (const number of [1, 2, 3, 4, 5, 6]) await write(`${block}/vda${number}/partition`, `${number}\n`);
  await write('sys/devices/virtual/block/dm-0/dm/name', 'usr\n');
  await write('sys/devices/virtual/block/dm-0/slaves/vda2', '');
  await mkdir(join(root, 'sys/class/block'), {recursive: true});
  for (const name of ['vda', ...[1, 2, 3, 4, 5, 6].map(n => `vda/vda${n}`)]) {
    await symlink(
      join(root, 'sys/devices/pci/block', name),
      join(root, 'sys/class/block', name.split('/').at(-1) ?? ''),
    );
  }
  await symlink(join(root, 'sys/devices/virtual/block/dm-0'), join(root, 'sys/class/block/dm-0'));
  await write('dev/vda', '');
  await truncate(join(root, 'dev/vda'), 64 * MIB);
  const uuids = slotPartitionUuids(own.rootHash);
  const input = [
    'label: gpt',
    `size=8MiB, type=${partitionType.esp}, name=ESP`,
    `size=4MiB, type=${partitionType.usr}, name=hawser_1.0.0, uuid=${uuids.data}`,
    `size=4MiB, type=${partitionType.usrVerity}, name=hawser_1.0.0_v, uuid=${uuids.tree}`,
    `size=4MiB, type=${partitionType.usr}, name=_empty`,
    `size=4MiB, type=${partitionType.usrVerity}, name=_empty`,
    `type=${partitionType.root}, name=root`,
  ].join('\n');
  await exec(['sfdisk', '--quiet', join(root, 'dev/vda')], {timeoutMs: 20_000, input});
  await write('esp/EFI/Linux/hawser_1.0.0.efi', 'uki 1.0.0');
  await write('esp/EFI/systemd/systemd-bootx64.efi', 'loader 1');
  await write('esp/EFI/BOOT/BOOTX64.EFI', 'loader 1');
  await mkdir(join(root, 'efivars'));
  await writeFile(join(root, 'bootctl'), `#!/bin/sh\necho "$*" >> ${root}/bootctl.log\n`, {mode: 0o755});
  const esp = new Esp(join(root, 'esp'));
  const requests: StageRequest[] = [];
  const behaviour: {fail: Error | undefined} = {fail: undefined};
  const slots = slotWriter({
    places,
    esp,
    variables: loaderVariables(join(root, 'efivars'), join(root, 'bootctl')),
    stagePayload: async request => {
      requests.push(request);
      if (behaviour.fail !== undefined) throw behaviour.fail;
      await writeFile(request.ukiOut, `uki ${request.manifest.version}`);
      await writeFile(request.bootLoaderOut, 'loader 2');
      return {
        fetchedBytes: 5,
        copiedBytes: 6,
        keptBytes: 0,
        reusedUkiBytes: 0,
        requests: 1,
        patched: false,
        readBack: 'direct',
      } satisfies StageResult;
    },
    fetch: async () => {
      throw new Error('not here');
    },
    bytesPerSecond: undefined,
    signal: new AbortController().signal,
    log: line => t.log(line),
  });
  const label = async (number: number) =>
    (await readPartitions({path: join(root, 'dev/vda'), size: 64 * MIB, sectorSize: 512})).find(
      one => one.number === number,
    )?.label;
  const entries = async () => (await readdir(join(root, 'esp/EFI/Linux'))).sort();
  return {root, places, esp, slots, requests, behaviour, label, entries, write};
}

const release = manifest('1.1.0');

test('the facts: version, slot, boot and whether the entry proved itself', async t => {
  const {places, esp} = await host(t);
  const facts = await readFacts(places, esp);
  t.like(facts, {
    own,
    slot: 'a',
    bootId: '11111111-2222-4333-8444-555555555555',
    proven: true,
    other: undefined,
  });
  t.is(facts.trialEntry('1.1.0'), 'gone');
});

test('staged, placed, armed, blessed: the running slot and its entry are as they were; the old one can be gone back to', async t => {
  const {root, places, esp, slots, requests, label, entries, write} = await host(t);
  const read = async (path: string) => readFile(join(root, path), 'utf8');
  t.deepEqual(await slots.stage(release, ['https://r/'], () => undefined), {kind: 'slot-written'});
  const [request] = requests;
  t.like(request?.target, {usrDevice: join(root, 'dev/vda4'), treeDevice: join(root, 'dev/vda5')});
  t.like(request?.running, {
    usrDevice: join(root, 'dev/vda2'),
    treeDevice: join(root, 'dev/vda3'),
    rootHash: own.rootHash,
  });
  t.is(await label(4), '_empty', 'not before it is proven');
  t.deepEqual(await slots.placeUki(release), {kind: 'uki-placed'});
  t.is(await label(4), 'hawser_1.1.0');
  t.is(await label(5), 'hawser_1.1.0_v');
  t.is(await label(2), 'hawser_1.0.0');
  t.deepEqual(await entries(), ['hawser_1.0.0.efi', 'hawser_1.1.0.efi.staged'], 'nothing that boots');
  t.is((await readFacts(places, esp)).trialEntry('1.1.0'), 'unarmed');
  t.is(await read('esp/EFI/systemd/systemd-bootx64.efi'), 'loader 2');
  t.is(await read('esp/EFI/BOOT/BOOTX64.EFI'), 'loader 1');

  const staged = {version: '1.1.0', rootHash: release.rootHash, downgrade: false, source: 'fetched'} as const;
  t.deepEqual(await slots.arm(staged), {kind: 'armed'});
  t.deepEqual(await slots.arm(staged), {kind: 'armed'}, 'again');
  t.deepEqual(await entries(), ['hawser_1.0.0.efi', 'hawser_1.1.0+3.efi']);
  await slots.disarm(staged);
  await slots.disarm(staged);
  t.deepEqual(await entries(), ['hawser_1.0.0.efi', 'hawser_1.1.0.efi.staged']);
  t.deepEqual(
    (await readdir(join(root, 'efivars'))).sort(),
    ['Boot4857', 'BootNext'].map(name => `${name}-8be4df61-93ca-11d2-aa0d-00e098032b8c`),
    'the newest release boots by itself; the new loader is asked for once',
  );
  await slots.arm({...staged, downgrade: true});
  t.is(await read('bootctl.log'), 'set-oneshot hawser_1.1.0[+.]*efi\n');

  // The reboot: slot B runs, the loader has counted.
  await exec(['mv', esp.path('hawser_1.1.0+3.efi'), esp.path('hawser_1.1.0+2-1.efi')], {timeoutMs: 5000});
  await write('proc/cmdline', `usrhash=${release.rootHash}`);
  await write('os-release', 'VERSION_ID="1.1.0"\n');
  const facts = await readFacts(places, esp);
  t.like(facts, {own: {version: '1.1.0'}, slot: 'b', proven: false});
  t.is(facts.trialEntry('1.1.0'), 'tried');
  t.deepEqual(
    await slots.stage(manifest('1.2.0'), [], () => undefined).then(event => event.kind),
    'stage-failed',
    'unproven: the other slot is the last good one',
  );
  t.is(await label(2), 'hawser_1.0.0');
  await esp.bless('1.1.0');
  t.like((await readFacts(places, esp)).other, {...own, source: 'slot', downgrade: true});

  // The loader of EFI/BOOT follows only when the new one is the one that ran.
  await slots.tidy();
  t.is(await read('esp/EFI/BOOT/BOOTX64.EFI'), 'loader 1');
  const path = Buffer.concat([
    Buffer.alloc(4),
    Buffer.from('\\EFI\\systemd\\systemd-bootx64.efi\0', 'utf16le'),
  ]);
  await writeFile(join(root, `efivars/LoaderImageIdentifier-${loaderGuid}`), path);
  await slots.tidy();
  t.is(await read('esp/EFI/BOOT/BOOTX64.EFI'), 'loader 2');
  t.deepEqual(await entries(), ['hawser_1.0.0.efi', 'hawser_1.1.0.efi'], 'both slots keep their entries');

  // The next one goes into slot A: the entry that boots it is gone before a byte changes.
  t.is((await slots.stage(manifest('1.2.0'), [], () => undefined)).kind, 'slot-written');
  t.is(await label(2), '_empty');
  t.is(await label(4), 'hawser_1.1.0');
  t.deepEqual(await entries(), ['hawser_1.1.0.efi', 'hawser_1.2.0.efi.new']);
});

test('a dropped release leaves an empty slot and no entry; the running one cannot be dropped', async t => {
  const {slots, label, entries} = await host(t);
  await slots.stage(release, [], () => undefined);
  await slots.placeUki(release);
  t.is((await slots.drop('1.1.0')).kind, 'dropped');
  t.is(await label(4), '_empty');
  t.deepEqual(await entries(), ['hawser_1.0.0.efi']);
  t.is((await slots.drop('1.0.0')).kind, 'dropped');
  t.deepEqual(await entries(), ['hawser_1.0.0.efi']);
  t.is(await label(2), 'hawser_1.0.0');
});

test('marked bad: the loader takes it last of all', async t => {
  const {esp, entries, write} = await host(t);
  await write('esp/EFI/Linux/hawser_1.1.0+2-1.efi', 'x');
  await esp.markBad('1.1.0');
  await esp.markBad('1.1.0');
  t.deepEqual(await entries(), ['hawser_1.0.0.efi', 'hawser_1.1.0+0-1.efi']);
});

test('what a payload can meet comes back as what it is', async t => {
  const {slots, behaviour} = await host(t);
  for (const [code, kind] of [
    ['repository-unreachable', 'fetch-unreachable'],
    ['payload-missing', 'fetch-unreachable'],
    ['payload-damaged', 'payload-damaged'],
    ['root-hash-differs', 'payload-damaged'],
    ['slot-too-small', 'stage-failed'],
    ['slot-damaged', 'stage-failed'],
  ] as const) {
    behaviour.fail = new PayloadError(code, 'why');
    t.is((await slots.stage(release, [], () => undefined)).kind, kind, code);
  }
  behaviour.fail = Object.assign(new Error('no space'), {code: 'ENOSPC'});
  t.is((await slots.stage(release, [], () => undefined)).kind, 'esp-full');
});

test('an ESP without room is known before anything is written', async t => {
  const {slots, requests, label} = await host(t);
  const huge = manifest('1.1.0', {uki: {size: 2 ** 50, sha256: 'a'.repeat(64)}});
  const event = await slots.stage(huge, [], () => undefined);
  t.is(event.kind, 'esp-full');
  t.is(requests.length, 0);
  t.is(await label(4), '_empty');
});

test('a machine that did not boot from a slot says so', async t => {
  const {places, esp, write} = await host(t);
  await write('proc/cmdline', 'root=/dev/sda1');
  await t.throwsAsync(readFacts(places, esp), {instanceOf: UpdateAgentError, code: 'no-slots'});
});

test('the record: empty at first, kept whole, and never begun anew over one that cannot be read', async t => {
  const {root} = await host(t);
  const path = join(root, 'state/record.json');
  const record = recordFile(path);
  t.deepEqual(await record.load(), emptyRecord());
  const kept = {...emptyRecord(), putOffs: 3, failed: [{...own, reason: 'unhealthy', detail: '', at: ''}]};
  await record.save(kept);
  t.deepEqual(await record.load(), kept);
  await writeFile(path, JSON.stringify({...kept, later: 'a field of a newer agent'}));
  t.is((await record.load()).putOffs, 3);
  for (const [text, code] of [
    ['{"schema":1', 'bad-record'],
    ['{"schema":1,"phase":"dancing"}', 'bad-record'],
    [JSON.stringify({...kept, schema: 2}), 'newer-record'],
  ] as const) {
    await writeFile(path, text);
    await t.throwsAsync(record.load(), {instanceOf: UpdateAgentError, code});
  }
});
