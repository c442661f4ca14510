import {mkdtemp, open, rm, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as fc from 'fast-check';
import test, {type ExecutionContext} from 'ava';
import {partitionType, slotPartitionUuids} from '../../services/common/contracts/slots.ts';
import {exec} from '../../services/common/exec.ts';
import {
  changePartitions,
  readPartitions,
  type DiskPlace,
} from '../../services/update-agent/adapters/gpt-disk.ts';
import {UpdateAgentError} from '../../services/update-agent/errors.ts';
import {entriesFit, parseHeader, planGptWrites} from '../../services/update-agent/gpt-edit.ts';
import {
  findSlots,
  planEmpty,
  planEsp,
  planFilled,
  slotVersion,
  type PartitionFact,
} from '../../services/update-agent/slots.ts';
import {
  badUkiName,
  blessedUkiName,
  parseUkiName,
  stagedUkiName,
} from '../../services/update-agent/uki-names.ts';
import {rootHashOf} from './support.ts';

const hash = 'd0c7faf816f67c18c0d1dea1be997fee03ff965f99399b20a8b6b8bafbf1e77c';
const fresh = {data: '11111111-2222-4333-8444-555555555555', tree: '66666666-7777-4888-8999-aaaaaaaaaaaa'};
const MIB = 1024 * 1024;

/** The layout of a Hawser disk, small, by sfdisk. `running`: which slot holds `hash`. */
async function disk(t: ExecutionContext, running: 'a' | 'b'): Promise<DiskPlace> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-gpt-'));
  t.teardown(() => rm(folder, {recursive: true}));
  const path = join(folder, 'disk');
  const size = 64 * MIB;
  await writeFile(path, '');
  await truncate(path, size);
  const uuids = slotPartitionUuids(hash);
  const slot = (holds: boolean) =>
    [
      [partitionType.usr, holds ? 'hawser_1.0.0' : '_empty', uuids.data],
      [partitionType.usrVerity, holds ? 'hawser_1.0.0_v' : '_empty', uuids.tree],
    ].map(([type, name, uuid]) => `size=4MiB, type=${type}, name=${name}${holds ? `, uuid=${uuid}` : ''}`);
  const input = [
    'label: gpt',
    `size=8MiB, type=${partitionType.esp}, name=ESP`,
    ...slot(running === 'a'),
    ...slot(running === 'b'),
    `type=${partitionType.root}, name=root`,
  ].join('\n');
  await exec(['sfdisk', '--quiet', path], {timeoutMs: 20_000, input});
  return {path, size, sectorSize: 512};
}

async function verify({path}: DiskPlace): Promise<string> {
  const argv = ['sfdisk', '--verify', path];
  const {stdout, stderr} = await exec(argv, {timeoutMs: 20_000, okCodes: [0, 1]});
  return `${stdout}${stderr}`;
}

for (const running of ['a', 'b'] as const) {
  test(`slot ${running} runs, the other one is emptied and filled; sfdisk agrees`, async t => {
    const place = await disk(t, running);
    const before = await readPartitions(place);
    const slots = findSlots(before, hash);
    t.is(slots.running.name, running);
    t.is(slotVersion(slots.running), '1.0.0');
    t.is(slotVersion(slots.idle), undefined);
    await changePartitions(place, planEmpty(slots, fresh));
    const emptied = findSlots(await readPartitions(place), hash);
    t.like(emptied.idle.data, {label: '_empty', uuid: fresh.data});
    await changePartitions(place, planFilled(emptied, {version: '1.1.0', rootHash: rootHashOf('1.1.0')}));
    const filled = findSlots(await readPartitions(place), hash);
    t.like(filled.idle, {data: {label: 'hawser_1.1.0'}, tree: {label: 'hawser_1.1.0_v'}});
    t.is(filled.idle.data.uuid, slotPartitionUuids(rootHashOf('1.1.0')).data);
    t.deepEqual(filled.running, slots.running, 'the running slot is as it was');
    const untouched = (list: readonly PartitionFact[]) =>
      list.filter(one => ![slots.idle.data.number, slots.idle.tree.number].includes(one.number));
    t.deepEqual(untouched(await readPartitions(place)), untouched(before));
    t.regex(await verify(place), /No errors detected/);
    const {stdout} = await exec(['sfdisk', '--dump', place.path], {
      timeoutMs: 20_000,
    });
    t.true(stdout.includes('name="hawser_1.1.0_v"'), stdout);
  });
}

test('a power cut that loses any of the writes leaves a whole table, old or new', async t => {
  const place = await disk(t, 'a');
  const slots = findSlots(await readPartitions(place), hash);
  const file = await open(place.path, 'r+');
  t.teardown(() => file.close());
  const sector = async (lba: number, length = 512) => {
    const bytes = Buffer.alloc(length);
    await file.read(bytes, 0, length, lba * 512);
    return new Uint8Array(bytes);
  };
  const header = parseHeader(await sector(1), 1);
  if (header === undefined) throw new Error('no header');
  const entries = await sector(header.entriesLba, header.entryCount * header.entrySize);
  t.true(entriesFit(header, entries));
  const groups = planGptWrites(
    {header, entries},
    planFilled(slots, {version: '1.1.0', rootHash: rootHashOf('1.1.0')}),
    512,
  );
  const lose = fc.array(fc.boolean(), {minLength: 66, maxLength: 66});
  const original = await readPartitions(place);
  const saved: [number, Uint8Array][] = [];
  for (const {lba, bytes} of groups.flat()) saved.push([lba, await sector(lba, bytes.length)]);
  let olds = 0;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(0, 1), lose, async (during, lost) => {
      for (const [lba, bytes] of saved) await file.write(bytes, 0, bytes.length, lba * 512);
      for (const [index, group] of groups.entries()) {
        if (index > during) continue;
        let at = 0;
        for (const {lba, bytes} of group) {
          for (let offset = 0; offset < bytes.length; offset += 512, at += 1) {
            // Written before the flush: kept. In the group that the cut meets, each sector on its own.
            if (index === during && lost[at]) continue;
            await file.write(bytes, offset, 512, lba * 512 + offset);
          }
        }
      }
      const now = await readPartitions(place);
      const label = now.find(one => one.number === slots.idle.data.number)?.label;
      if (label === '_empty') olds += 1;
      else if (label !== 'hawser_1.1.0') throw new Error(String(label));
      if (now.length !== original.length) throw new Error('partitions were lost');
    }),
    {numRuns: 300},
  );
  t.true(olds > 20 && olds < 300, `${olds} of 300 were old`);
});

test('a damaged copy is read past, and made whole by the next change', async t => {
  const place = await disk(t, 'a');
  const file = await open(place.path, 'r+');
  t.teardown(() => file.close());
  await file.write(Buffer.alloc(512, 7), 0, 512, 512);
  const slots = findSlots(await readPartitions(place), hash);
  await changePartitions(place, planEmpty(slots, fresh));
  t.regex(await verify(place), /No errors detected/);
  await file.write(Buffer.alloc(512, 7), 0, 512, 512);
  await file.write(Buffer.alloc(512, 7), 0, 512, place.size - 512);
  await t.throwsAsync(readPartitions(place), {
    instanceOf: UpdateAgentError,
    message: /no whole partition table/,
  });
});

const usr = (number: number, uuid: string): PartitionFact => ({
  number,
  type: partitionType.usr,
  uuid,
  label: 'x',
  firstLba: 1,
  sectors: 1,
});
const tree = (number: number, uuid: string): PartitionFact => ({
  ...usr(number, uuid),
  type: partitionType.usrVerity,
});

test('a disk with other slots than two, or with none that runs, is refused', t => {
  const uuids = slotPartitionUuids(hash);
  const good = [usr(2, uuids.data), tree(3, uuids.tree), usr(4, fresh.data), tree(5, fresh.tree)];
  t.is(findSlots(good, hash).idle.name, 'b');
  for (const [why, list] of [
    ['one slot', good.slice(0, 2)],
    ['a third slot', [...good, usr(6, fresh.data)]],
    ['nothing that runs', good.slice(2).concat(good.slice(2))],
    ['both run', [usr(2, uuids.data), tree(3, uuids.tree), usr(4, uuids.data), tree(5, uuids.tree)]],
    ['half of one runs', [usr(2, uuids.data), tree(3, fresh.tree), usr(4, fresh.data), tree(5, uuids.tree)]],
  ] as const) {
    t.is(t.throws(() => findSlots(list, hash), {instanceOf: UpdateAgentError})?.code, 'no-slots', why);
  }
});

test('names of boot entries: what is written can be read, and nothing else is taken for one', t => {
  fc.assert(
    fc.property(
      fc.tuple(fc.nat(99), fc.nat(99), fc.nat(99)).map(parts => parts.join('.')),
      fc.constantFrom('', '-rc.1', '-beta'),
      (core, extra) => {
        const version = `${core}${extra}`;
        const read = (name: string) => parseUkiName(name);
        return (
          read(blessedUkiName(version))?.version === version &&
          read(stagedUkiName(version))?.staged === true &&
          read(badUkiName(version, 2))?.tries?.left === 0 &&
          read(badUkiName(version, 2))?.version === version
        );
      },
    ),
  );
  t.deepEqual(parseUkiName('hawser_1.0.0+2-1.efi')?.tries, {left: 2, done: 1});
  t.deepEqual(parseUkiName('hawser_1.0.0+3.efi')?.tries, {left: 3, done: 0});
  t.is(parseUkiName('debian.efi'), undefined);
  t.is(parseUkiName('hawser_1.0.0.txt'), undefined);
});

test('the ESP: exhausted and stale ones go, never the running one; room is reckoned beforehand', t => {
  const files = [
    'hawser_1.0.0.efi',
    'hawser_0.9.0.efi',
    'hawser_1.1.0+0-3.efi',
    'hawser_1.2.0.efi.staged',
  ].flatMap(name => {
    const parsed = parseUkiName(name);
    return parsed === undefined ? [] : [{...parsed, size: 25 * MIB}];
  });
  const release = {version: '1.2.0', ukiBytes: 26 * MIB, loaderBytes: 200_000};
  const running = {version: '1.0.0', proven: true};
  const plan = planEsp(files, running, release, 0);
  t.deepEqual(plan.remove, ['hawser_0.9.0.efi', 'hawser_1.1.0+0-3.efi', 'hawser_1.2.0.efi.staged']);
  t.is(plan.place, 'hawser_1.2.0.efi.staged');
  t.is(
    t.throws(() => planEsp(files.slice(0, 1), running, release, 20 * MIB), {instanceOf: UpdateAgentError})
      ?.code,
    'esp-full',
  );
  t.is(
    t.throws(() => planEsp(files, {version: '1.0.0', proven: false}, release, 1e9), {
      instanceOf: UpdateAgentError,
    })?.code,
    'not-proven',
  );
});
