import {truncate} from 'node:fs/promises';
import {join} from 'node:path';
import {crc32 as zlibCrc32} from 'node:zlib';
import test from 'ava';
import * as fc from 'fast-check';
import {partitionType} from '../../../services/common/contracts/slots.ts';
import {writeFileAtomic} from '../../../services/common/fs-atomic.ts';
import {memorySource, sliceSource} from '../../../services/common/formats/byte-source.ts';
import {crc32} from '../../../services/common/formats/crc32.ts';
import {FormatError, type FormatErrorCode} from '../../../services/common/formats/errors.ts';
import {openFileSource} from '../../../services/common/formats/file-source.ts';
import {findPartition, readGpt, readOnlyAttribute} from '../../../services/common/formats/gpt.ts';
import {guidFromBytes, guidToBytes} from '../../../services/common/formats/guid.ts';
import {buildDisk, diskUuid, resealDisk, type Entry} from '../../image-build/formats/disk-builder.ts';
import {haveTools, run, temporaryFolder} from '../../image-build/formats/tools.ts';

const SECTORS = 256;
const uuid = (n: number) => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
const slots: Entry[] = [
  {type: partitionType.esp, uuid: uuid(1), label: 'ESP', firstLba: 34, lastLba: 63},
  {
    type: partitionType.usr,
    uuid: uuid(2),
    label: 'hawser_1.0.0',
    firstLba: 64,
    lastLba: 100,
    attributes: readOnlyAttribute,
  },
  {type: partitionType.usr, uuid: uuid(3), label: '_empty', firstLba: 101, lastLba: 222},
];

test('what was written is what is read, from both ends of the disk', async t => {
  const gpt = await readGpt(memorySource(buildDisk(SECTORS, slots)));
  t.is(gpt.uuid, diskUuid);
  t.is(gpt.lastUsableLba, SECTORS - 34);
  t.deepEqual(
    gpt.partitions.map(({type, uuid, label, firstLba, lastLba, attributes}) => ({
      type,
      uuid,
      label,
      firstLba,
      lastLba,
      attributes,
    })),
    slots.map(slot => ({attributes: 0n, ...slot})),
  );
  t.like(gpt.partitions[1], {number: 2, offset: 64 * 512, size: 37 * 512});
});

test('any set of partitions side by side is read back', async t => {
  const entries = fc
    .array(fc.tuple(fc.integer({min: 1, max: 20}), fc.uuid(), fc.stringMatching(/^[ -~é]{0,36}$/)), {
      maxLength: 8,
    })
    .map(list => {
      let next = 34;
      return list.map(([length, uuid, label]): Entry => {
        const firstLba = next;
        next += length;
        return {type: partitionType.usrVerity, uuid, label, firstLba, lastLba: next - 1, attributes: 5n};
      });
    });
  await fc.assert(
    fc.asyncProperty(entries, async list => {
      const gpt = await readGpt(memorySource(buildDisk(SECTORS, list)));
      t.deepEqual(
        gpt.partitions.map(({type, uuid, label, firstLba, lastLba, attributes}) => ({
          type,
          uuid,
          label,
          firstLba,
          lastLba,
          attributes,
        })),
        list,
      );
    }),
  );
});

test('one flipped byte anywhere in either copy of the table is noticed, and memory is never changed', async t => {
  const copies = fc.oneof(
    fc.integer({min: 512, max: 512 + 91}),
    fc.integer({min: 1024, max: 1024 + 128 * 128 - 1}),
    fc.integer({min: (SECTORS - 33) * 512, max: (SECTORS - 1) * 512 - 1}),
    fc.integer({min: (SECTORS - 1) * 512, max: (SECTORS - 1) * 512 + 91}),
  );
  await fc.assert(
    fc.asyncProperty(copies, fc.integer({min: 1, max: 255}), async (at, flip) => {
      const disk = Buffer.from(buildDisk(SECTORS, slots));
      disk[at] = (disk[at] ?? 0) ^ flip;
      const before = Buffer.from(disk);
      await t.throwsAsync(readGpt(memorySource(disk)), {instanceOf: FormatError});
      t.deepEqual(disk, before);
    }),
    {numRuns: 60},
  );
});

const hostile: [string, FormatErrorCode, (disk: Uint8Array, view: DataView) => Uint8Array][] = [
  ['an empty file', 'truncated', () => new Uint8Array(0)],
  ['a disk of zeros', 'no-gpt', () => new Uint8Array(4096)],
  ['a disk cut off before its backup table', 'truncated', disk => disk.subarray(0, 100 * 512)],
  ['a backup table that was overwritten', 'no-gpt', disk => disk.fill(0, (SECTORS - 1) * 512)],
  [
    'partitions that overlap',
    'bad-partition',
    (disk, view) => reseal(disk, () => entryLba(view, 2, 32, 90n)),
  ],
  [
    'a partition that ends before it begins',
    'bad-partition',
    (disk, view) => reseal(disk, () => entryLba(view, 1, 40, 50n)),
  ],
  [
    'a partition over the table itself',
    'bad-partition',
    (disk, view) => reseal(disk, () => entryLba(view, 0, 32, 1n)),
  ],
  [
    'a partition beyond the disk',
    'bad-partition',
    (disk, view) => reseal(disk, () => entryLba(view, 2, 40, 4000n)),
  ],
  [
    'a sector number that no disk has',
    'bad-gpt-header',
    (disk, view) => reseal(disk, () => entryLba(view, 2, 40, 1n << 60n)),
  ],
  ['entries of size zero', 'bad-gpt-header', (disk, view) => reseal(disk, () => headers(view, 84, 0))],
  ['entries that would fill memory', 'bad-gpt-header', disk => lateCount(disk, 0x7fffffff)],
  ['a header larger than its sector', 'bad-gpt-header', (disk, view) => (headers(view, 12, 4096), disk)],
  [
    'tables with different disk UUIDs',
    'gpt-copies-differ',
    (disk, view) => reseal(disk, () => view.setUint8(512 + 56, 9)),
  ],
];
for (const [name, code, breakIt] of hostile) {
  test(`${name} is refused as ${code}`, async t => {
    const disk = buildDisk(SECTORS, slots);
    const broken = breakIt(disk, new DataView(disk.buffer));
    const error = await t.throwsAsync(readGpt(memorySource(broken)), {instanceOf: FormatError});
    t.is(error.code, code);
  });
}

function reseal(disk: Uint8Array, change: () => void): Uint8Array {
  change();
  resealDisk(disk);
  return disk;
}

function lateCount(disk: Uint8Array, count: number): Uint8Array {
  const view = new DataView(disk.buffer);
  headers(view, 80, count);
  for (const at of [512, (SECTORS - 1) * 512]) {
    view.setUint32(at + 16, 0, true);
    view.setUint32(at + 16, zlibCrc32(disk.subarray(at, at + 92)), true);
  }
  return disk;
}

function entryLba(view: DataView, index: number, field: number, value: bigint): void {
  for (const table of [2 * 512, (SECTORS - 33) * 512])
    view.setBigUint64(table + index * 128 + field, value, true);
}

function headers(view: DataView, field: number, value: number): void {
  for (const at of [512, (SECTORS - 1) * 512]) view.setUint32(at + field, value, true);
}

test('a partition is found by what names it, and only when it is the only one', async t => {
  const gpt = await readGpt(memorySource(buildDisk(SECTORS, slots)));
  t.is(findPartition(gpt, {label: '_empty'}).number, 3);
  t.is(findPartition(gpt, {type: partitionType.usr, uuid: uuid(2)}).number, 2);
  t.is(
    t.throws(() => findPartition(gpt, {type: partitionType.usr}), {instanceOf: FormatError}).code,
    'no-such-partition',
  );
  t.is(t.throws(() => findPartition(gpt, {label: 'x'}), {instanceOf: FormatError}).code, 'no-such-partition');
});

test('a disk that sfdisk partitioned is read as sfdisk reads it', async t => {
  if (!haveTools(t, 'sfdisk')) return;
  const path = join(await temporaryFolder(t), 'disk.raw');
  await writeFileAtomic(path, '');
  await truncate(path, 8 << 20);
  const script = slots
    .map(
      (slot, i) =>
        `start=${2048 * (i + 1)},size=2048,type=${slot.type},uuid=${slot.uuid},name="${slot.label}"`,
    )
    .join('\n');
  run('sfdisk', ['-q', path], `label: gpt\nlabel-id: ${diskUuid}\n${script},attrs="GUID:60"\n`);
  await using source = await openFileSource(path);
  const gpt = await readGpt(source);
  const oracle: unknown = JSON.parse(run('sfdisk', ['-J', path]).toString());
  t.like(oracle, {
    partitiontable: {
      id: gpt.uuid.toUpperCase(),
      firstlba: gpt.firstUsableLba,
      lastlba: gpt.lastUsableLba,
      partitions: gpt.partitions.map(one => ({
        start: one.firstLba,
        size: one.lastLba - one.firstLba + 1,
        type: one.type.toUpperCase(),
        uuid: one.uuid.toUpperCase(),
        name: one.label,
      })),
    },
  });
  t.is(gpt.partitions[2]?.attributes, readOnlyAttribute);
});

test('GUIDs survive the way to bytes and back, in the order that UEFI stores', t => {
  fc.assert(fc.property(fc.uuid(), text => guidFromBytes(guidToBytes(text)) === text));
  t.is(Buffer.from(guidToBytes(partitionType.esp)).toString('hex'), '28732ac11ff8d211ba4b00a0c93ec93b');
  t.throws(() => guidToBytes('c12a7328'), {instanceOf: RangeError});
});

test('the checksum is the CRC-32 that zlib computes', t => {
  fc.assert(fc.property(fc.uint8Array({maxLength: 300}), bytes => crc32(bytes) === zlibCrc32(bytes)));
  t.pass();
});

test('a slice of a source cannot be read past its own end', async t => {
  const slice = sliceSource(memorySource(new Uint8Array([1, 2, 3, 4])), 1, 2);
  t.deepEqual(await slice.read(0, 2), new Uint8Array([2, 3]));
  const error = t.throws(() => void slice.read(1, 2), {instanceOf: FormatError});
  t.is(error.code, 'truncated');
});
