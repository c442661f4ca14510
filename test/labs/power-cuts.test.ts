/** The campaign of power cuts: its reading of the log, its model of a disk, and that its judge finds what it must find. */
import {mkdir, mkdtemp, open, readFile, rm, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {readLayout} from '../../infra/labs/power-cuts/areas.ts';
import {bootOrder} from '../../infra/labs/power-cuts/boot-choice.ts';
import {checkDisk} from '../../infra/labs/power-cuts/check-disk.ts';
import {checkRoot} from '../../infra/labs/power-cuts/check-root.ts';
import {epochsOf, keptWrites, planCuts} from '../../infra/labs/power-cuts/cuts.ts';
import {openWriteLog} from '../../infra/labs/power-cuts/log-file.ts';
import {RebuiltDisk} from '../../infra/labs/power-cuts/rebuilt-disk.ts';
import {holdsFile, sha256, type KnownRelease} from '../../infra/labs/power-cuts/releases.ts';
import {parseLogEntry, parseLogHeader, type LogEntry} from '../../infra/labs/power-cuts/write-log.ts';
import {createRandom} from '../../infra/labs/random.ts';
import {agentFiles} from '../../services/common/contracts/agent.ts';
import {partitionType, slotPartitionUuids} from '../../services/common/contracts/slots.ts';
import {exec} from '../../services/common/exec.ts';
import {memorySource, sliceSource, type ByteSource} from '../../services/common/formats/byte-source.ts';
import {openFileSource} from '../../services/common/formats/file-source.ts';
import {parseHeader, planGptWrites} from '../../services/update-agent/gpt-edit.ts';
import {emptyRecord, type AgentRecord} from '../../services/update-agent/record.ts';
import {parseUkiName, type UkiFile} from '../../services/update-agent/uki-names.ts';

function sector(...words: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(512);
  const view = new DataView(bytes.buffer);
  for (const [index, word] of words.entries()) view.setBigUint64(index * 8, word, true);
  return bytes;
}

const write = (over: Partial<LogEntry> = {}): LogEntry => ({
  offset: 0,
  length: 4096,
  flush: false,
  fua: false,
  discard: false,
  mark: false,
  dataLength: 4096,
  ...over,
});
const flush = write({flush: true, length: 0, dataLength: 0});

test('a log is read as dm-log-writes writes it, and nothing else is taken for one', t => {
  t.deepEqual(parseLogHeader(sector(0x6a736677736872n, 1n, 7n, 512n)), {entries: 7, sectorSize: 512});
  t.throws(() => parseLogHeader(sector(0x6a736677736873n, 1n, 7n, 512n)), {message: /no log/});
  t.throws(() => parseLogHeader(sector(0x6a736677736872n, 2n, 7n, 512n)), {message: /version 2/});
  t.throws(() => parseLogHeader(sector(0x6a736677736872n, 1n, 7n, 500n)), {message: /sectors of 500/});
  t.deepEqual(
    parseLogEntry(sector(3n, 2n, 2n), 512),
    write({offset: 1536, length: 1024, dataLength: 1024, fua: true}),
  );
  t.deepEqual(parseLogEntry(sector(0n, 0n, 1n), 512), flush);
  t.like(parseLogEntry(sector(3n, 2n, 4n), 512), {discard: true, length: 1024, dataLength: 0});
  t.like(parseLogEntry(sector(0n, 0n, 8n, 5n), 512), {mark: true, dataLength: 0});
  t.throws(() => parseLogEntry(sector(3n, 2n, 64n), 512), {message: /flags 64/});
});

test('epochs end at flushes; cuts lie within them, none where nothing is of interest', t => {
  const entries = [write(), write(), flush, write(), flush, flush, write()];
  const epochs = epochsOf(entries);
  t.deepEqual(epochs, [
    {first: 0, end: 2},
    {first: 2, end: 4},
    {first: 4, end: 5},
    {first: 5, end: 7},
  ]);
  const cuts = planCuts(epochs, ({end}) => (end === 5 ? 0 : 1), 300, createRandom(1));
  t.is(cuts.length, 300);
  for (const {epoch, at} of cuts) {
    const {first: begin = 9, end = 0} = epochs[epoch] ?? {};
    t.true(at >= begin && at <= end && epoch !== 2);
  }
});

test('what is kept: any combination of what was not flushed, sector by sector, and nothing else', t => {
  const entries = [write(), flush, write(), write({fua: true}), write(), write(), flush, write()];
  const [, epoch] = epochsOf(entries);
  if (epoch === undefined) throw new Error('there is one epoch only');
  const seen = new Set<string>();
  let torn = 0;
  for (let seed = 0; seed < 2000; seed += 1) {
    const kept = keptWrites(entries, epoch, 5, createRandom(seed));
    for (const {entry, from, length} of kept) {
      t.true(entry >= 2 && entry < 5, 'neither what was flushed nor what came later');
      t.true(from % 512 === 0 && length % 512 === 0 && from >= 0 && length > 0 && from + length <= 4096);
      if (length < 4096) torn += 1;
    }
    t.true(
      kept.some(({entry, length}) => entry === 3 && length === 4096),
      'FUA: there, and whole',
    );
    seen.add([2, 4].map(entry => kept.some(one => one.entry === entry)).join());
  }
  t.deepEqual([...seen].sort(), ['false,false', 'false,true', 'true,false', 'true,true']);
  t.true(torn > 50);
});

test('the loader takes the newest entry with tries left, never a staged one', t => {
  const order = (...names: readonly string[]) =>
    bootOrder(
      names.map(name => parseUkiName(name)).filter((file): file is UkiFile => file !== undefined),
    ).map(({name}) => name);
  t.deepEqual(
    order('hawser_1.9.0.efi', 'hawser_1.10.0+3.efi', 'hawser_2.0.0+0-3.efi', 'hawser_3.0.0.efi.staged'),
    ['hawser_1.10.0+3.efi', 'hawser_1.9.0.efi', 'hawser_2.0.0+0-3.efi'],
  );
});

const MIB = 1 << 20;
const SIZE = 64 * MIB;
const first = {version: '1.0.0', rootHash: 'a1'.repeat(32)};
const second = {version: '1.1.0', rootHash: 'b2'.repeat(32)};

/** A small disk as an image of Hawser has it, with 1.0.0 in slot A and 1.1.0 in slot B, both bootable. */
async function smallDisk(t: ExecutionContext) {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-cuts-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  const path = (name: string) => join(folder, name);
  const run = (argv: readonly string[], input?: string) =>
    exec(argv, {timeoutMs: 30_000, ...(input === undefined ? {} : {input})});
  const names = [first, second].map(({rootHash}) => slotPartitionUuids(rootHash));
  await writeFile(path('base.raw'), '');
  await truncate(path('base.raw'), SIZE);
  const table = [
    'label: gpt',
    `size=40MiB, type=${partitionType.esp}, name=ESP`,
    ...[first, second].flatMap(({version}, index) => [
      `size=1MiB, type=${partitionType.usr}, name=hawser_${version}, uuid=${names[index]?.data}`,
      `size=1MiB, type=${partitionType.usrVerity}, name=hawser_${version}_v, uuid=${names[index]?.tree}`,
    ]),
    `type=${partitionType.root}, name=root`,
  ];
  await run(['sfdisk', '--quiet', path('base.raw')], table.join('\n'));
  const files = {
    'EFI/BOOT/BOOTX64.EFI': 'loader',
    'EFI/systemd/systemd-bootx64.efi': 'loader',
    'EFI/Linux/hawser_1.0.0.efi': 'uki 1.0.0'.repeat(500),
    'EFI/Linux/hawser_1.1.0+3.efi': 'uki 1.1.0'.repeat(500),
    'loader/loader.conf': 'timeout 0\n',
  };
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(folder, 'esp', name, '..'), {recursive: true});
    await writeFile(join(folder, 'esp', name), text);
  }
  await run(['mkfs.vfat', '-F', '32', '-s', '1', '-C', path('esp.img'), String(40 * 1024)]);
  await run(['mcopy', '-s', '-i', path('esp.img'), path('esp/EFI'), path('esp/loader'), '::/']);
  const base = await openFileSource(path('base.raw'));
  const layout = await readLayout(base);
  await base.close();
  await using disk = await open(path('base.raw'), 'r+');
  await disk.write(await readFile(path('esp.img')), 0, 40 * MIB, layout.esp.offset);
  const releases: KnownRelease[] = [];
  for (const [index, {version, rootHash}] of [first, second].entries()) {
    const artefact = async (name: 'data' | 'tree') => {
      const bytes = Buffer.alloc(65_536, `${name} of ${version} `);
      const file = path(`${version}.${name}`);
      await writeFile(file, bytes);
      await disk.write(bytes, 0, bytes.length, layout.slots[index]?.[name].offset);
      return {path: file, size: bytes.length};
    };
    releases.push({
      version,
      rootHash,
      ukiSha256: sha256(Buffer.from(`uki ${version}`.repeat(500))),
      loaderSha256: sha256(Buffer.from('loader')),
      usr: await artefact('data'),
      tree: await artefact('tree'),
    });
  }
  const judge = async (view: ByteSource) =>
    checkDisk(view, {
      layout,
      releases,
      slotHolds: async (slot, release) => {
        const {data, tree} = layout.slots[slot] ?? t.fail();
        const part = ({offset, size}: {offset: number; size: number}) => sliceSource(view, offset, size);
        return (await holdsFile(part(data), release.usr)) && (await holdsFile(part(tree), release.tree));
      },
    });
  const bytes = await readFile(path('base.raw'));
  /** The verdict on the disk with so many bytes of another value at a place. */
  const damaged = (at: number, length: number) => {
    const copy = Buffer.from(bytes);
    copy.fill(0x5a, at, at + length);
    return judge(memorySource(copy));
  };
  const find = (text: string) => bytes.indexOf(text, layout.esp.offset);
  return {folder, layout, judge, damaged, find, base: path('base.raw'), bytes};
}

test('the judge: a sound disk boots what it should, and each damage is named', async t => {
  const {layout, damaged, find} = await smallDisk(t);
  const sound = await damaged(0, 0);
  t.deepEqual(sound.problems, []);
  t.deepEqual(sound.remarks, []);
  t.like(sound.boots, {version: '1.1.0', onTrial: true});

  const backup = SIZE - 33 * 512;
  for (const [what, at, length, problems, remarks] of [
    ['the primary table', 512, 1024, [], ['the primary partition table is torn']],
    ['the backup table', backup, 512, [], ['the backup partition table is torn']],
    [
      'what boots',
      find('uki 1.1.0'),
      1,
      [/what boots is not whole: hawser_1.1.0\+3.efi is not the release's/],
      [],
    ],
    ['its slot', layout.slots[1]?.data.offset ?? 0, 1, [/the slot of 1.1.0 is not whole/], []],
    ['its hash tree', layout.slots[1]?.tree.offset ?? 0, 1, [/the slot of 1.1.0 is not whole/], []],
    [
      'the way back',
      layout.slots[0]?.data.offset ?? 0,
      1,
      [/on trial, and there is no other release/],
      ['an entry behind the first one is not whole'],
    ],
    ['the ESP', layout.esp.offset, 512, [/the ESP cannot be read/], []],
  ] as const) {
    const verdict = await damaged(at, length);
    t.deepEqual(verdict.remarks, remarks, what);
    t.is(verdict.problems.length, problems.length, `${what}: ${verdict.problems.join()}`);
    for (const [index, problem] of problems.entries()) t.regex(verdict.problems[index] ?? '', problem, what);
  }
});

/** A log that renames slot B in the agent's two groups of writes, with a flush after each group or without any. */
async function gptLog(disk: Uint8Array, path: string, flushes: boolean): Promise<void> {
  const source = memorySource(disk);
  const sectorBytes = await source.read(512, 512);
  const header = parseHeader(sectorBytes, 1);
  if (header === undefined) throw new Error('the disk has no partition table');
  const entries = await source.read(header.entriesLba * 512, header.entryCount * header.entrySize);
  const change = [{number: 4, label: '_empty', uuid: '11111111-2222-4333-8444-555555555555'}];
  const parts: Uint8Array[] = [];
  let count = 0;
  const add = (lba: number, bytes: Uint8Array, flags: bigint) => {
    const padded = new Uint8Array(Math.ceil(bytes.length / 512) * 512);
    padded.set(bytes);
    parts.push(sector(BigInt(lba), BigInt(padded.length / 512), flags), padded);
    count += 1;
  };
  for (const group of planGptWrites({header, entries}, change, 512)) {
    for (const {lba, bytes} of group) add(lba, bytes, 0n);
    if (flushes) add(0, new Uint8Array(0), 1n);
  }
  await writeFile(path, Buffer.concat([sector(0x6a736677736872n, 1n, BigInt(count), 512n), ...parts]));
}

for (const flushes of [true, false]) {
  test(`a partition table that is changed ${flushes ? 'with' : 'without'} flushes ${flushes ? 'survives' : 'does not survive'} every cut`, async t => {
    const {folder, layout, judge, base, bytes} = await smallDisk(t);
    const path = join(folder, 'writes.log');
    await gptLog(bytes, path, flushes);
    await using log = await openWriteLog(path);
    const epochs = epochsOf(log.entries);
    const cuts = planCuts(epochs, () => 1, 200, createRandom(5));
    await using disk = await RebuiltDisk.create(log, layout, {base, folder});
    const lost = new Set<string>();
    const tables = new Set<string>();
    for (const {epoch, at, seed} of cuts) {
      const {first: begin = 0, end = 0} = epochs[epoch] ?? {};
      await disk.advance(begin);
      const kept = keptWrites(log.entries, {first: begin, end}, at, createRandom(seed));
      const {problems, partitions} = await judge(disk.view(kept));
      tables.add(partitions.find(one => one.number === 4)?.label ?? 'none');
      for (const problem of problems) lost.add(problem);
    }
    t.true(tables.has('hawser_1.1.0') && tables.has('_empty'), 'the old table and the new one');
    t.is(lost.has('neither partition table is whole'), !flushes);
  });
}

test('the root: its journal is replayed, the record is read, and what does not fit the disk is named', async t => {
  const {folder, layout, damaged} = await smallDisk(t);
  const disk = await damaged(0, 0);
  const verdictOn = async (record: AgentRecord | string) => {
    const [tree, path] = [join(folder, 'tree'), join(folder, 'root.ext4')];
    await mkdir(join(tree, agentFiles.state), {recursive: true});
    const text = typeof record === 'string' ? record : JSON.stringify(record);
    await writeFile(join(tree, agentFiles.state, 'record.json'), text);
    await exec(['mkfs.ext4', '-q', '-F', '-d', tree, path, '16m'], {timeoutMs: 30_000});
    return checkRoot(path, disk, layout);
  };
  const own = {version: '1.1.0', rootHash: second.rootHash};
  const stagedRelease = {...own, downgrade: false, source: 'fetched'} as const;
  t.like(await verdictOn(emptyRecord()), {phase: 'idle', problems: []});
  // What boots is 1.1.0 on trial: its proof comes next.
  const trial = {...own, from: first, source: 'fetched', bootId: 'x', reboots: 0, gateSeconds: 60} as const;
  t.like(await verdictOn({...emptyRecord(), staged: stagedRelease, trial}), {phase: 'proving', problems: []});

  const missing = {...stagedRelease, version: '1.2.0', rootHash: 'c3'.repeat(32)};
  const cases: readonly (readonly [Parameters<typeof verdictOn>[0], RegExp])[] = [
    [{...emptyRecord(), staged: missing}, /1\.2\.0 as staged, and no slot is named so/],
    [{...emptyRecord(), trial: {...trial, ...missing}}, /the next run takes 1\.2\.0 for failed/],
    [
      {...emptyRecord(), failed: [{...own, reason: 'unhealthy', detail: '', at: ''}]},
      /has 1\.1\.0 as failed/,
    ],
    ['{"schema":1', /the agent's record: /],
  ];
  for (const [record, problem] of cases) {
    const {problems} = await verdictOn(record);
    t.regex(problems[0] ?? '', problem);
  }
  await writeFile(join(folder, 'root.ext4'), Buffer.alloc(MIB));
  t.regex((await checkRoot(join(folder, 'root.ext4'), disk, layout)).problems[0] ?? '', /e2fsck/);
});
