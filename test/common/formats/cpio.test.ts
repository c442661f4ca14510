import test from 'ava';
import {execFileSync} from 'node:child_process';
import {zstdDecompressSync} from 'node:zlib';
import {packArchives, splitArchives} from '../../../image-build/steps/initrd-archives.ts';
import {memorySource} from '../../../services/common/formats/byte-source.ts';
import {cpioField, readCpio, writeCpio, type CpioEntry} from '../../../services/common/formats/cpio.ts';
import {FormatError} from '../../../services/common/formats/errors.ts';
import {frameEnds} from '../../../services/common/payload/boot-cut.ts';

function entry(
  name: string,
  size: number,
  over: Partial<Record<keyof typeof cpioField, number>> = {},
): CpioEntry {
  const fields = Array.from({length: 13}, () => 0);
  fields[cpioField.mode] = 0o100_644;
  fields[cpioField.links] = 1;
  for (const [field, value] of Object.entries(over))
    fields[cpioField[field as keyof typeof cpioField]] = value;
  return {name, fields, content: new Uint8Array(size).fill(name.length)};
}

const entries = [
  entry('usr', 0, {mode: 0o040_755, links: 3, ino: 5, mtime: 1234}),
  entry('usr/lib', 0, {mode: 0o040_755, links: 2, ino: 6}),
  entry('usr/lib/a', 10, {ino: 7, mtime: 99}),
  entry('usr/lib/large', 100_000, {ino: 8}),
  entry('usr/bin/b', 3, {ino: 9}),
  entry('usr/lib/link', 0, {links: 2, ino: 10}),
  entry('usr/lib/link2', 70_000, {links: 2, ino: 10}),
];

const names = (list: readonly CpioEntry[]) => list.map(({name}) => name);

test('an archive is read as it was written, and cpio lists the same', t => {
  const bytes = writeCpio(entries);
  t.deepEqual(names(readCpio(bytes)), names(entries));
  t.deepEqual(
    readCpio(bytes).map(({content}) => content),
    entries.map(({content}) => content),
  );
  const listed = execFileSync('cpio', ['--list', '--quiet'], {input: bytes, encoding: 'utf8'});
  t.deepEqual(listed.trim().split('\n'), names(entries));
});

for (const [title, bytes] of [
  ['garbage', new Uint8Array(200)],
  ['a header cut off', writeCpio(entries).subarray(0, 50)],
  ['content cut off', writeCpio(entries).subarray(0, 50_000)],
  ['no trailer', writeCpio([]).subarray(0, 0)],
  ['a size that is no number', Buffer.from('070701' + 'x'.repeat(104) + 'name')],
] as const) {
  test(`refused: ${title}`, t => {
    t.is(t.throws(() => readCpio(bytes), {instanceOf: FormatError}).code, 'bad-cpio');
  });
}

test('the initrd: folders first, large files alone, hard links together, no time and no number of its own', async t => {
  const archives = splitArchives(entries);
  t.deepEqual(archives.map(names), [
    ['usr', 'usr/lib'],
    ['usr/lib/a'],
    ['usr/bin/b'],
    ['usr/lib/link', 'usr/lib/link2'],
    ['usr/lib/large'],
  ]);
  const packed = await packArchives(archives);
  const ends = await frameEnds(memorySource(packed));
  t.is(ends.length, archives.length);
  t.is(ends.at(-1), packed.length);
  const unpacked = ends.map((end, index) =>
    readCpio(zstdDecompressSync(packed.subarray(ends[index - 1] ?? 0, end))),
  );
  t.deepEqual(unpacked.flatMap(names).toSorted(), names(entries).toSorted());
  const times = new Set(unpacked.flat().map(({fields}) => fields[cpioField.mtime]));
  t.is(times.size, 1);
  const later = entries.map(one => ({...one, fields: one.fields.with(cpioField.mtime, 5_000_000)}));
  t.deepEqual(await packArchives(splitArchives(later)), packed);
});

test('frames in a row end where the first thing that is no frame begins', async t => {
  const packed = Buffer.from(await packArchives(splitArchives(entries)));
  const ends = await frameEnds(memorySource(Buffer.concat([packed, Buffer.alloc(64)])));
  t.is(ends.at(-1), packed.length);
  t.deepEqual(await frameEnds(memorySource(Buffer.alloc(100))), []);
  const cut = await frameEnds(memorySource(packed.subarray(0, packed.length - 4)));
  t.is(cut.length, ends.length - 1);
});

test('no archive of the initrd needs a window of more than a megabyte, on whatever machine makes it again', async t => {
  const large = entry('usr/lib/very-large', 3_000_000);
  const [descriptor, window] = (await packArchives([[large]])).subarray(4, 6);
  // RFC 8878, 3.1.1.1: without the flag of a single segment the second byte is the window's exponent over 10.
  t.is((descriptor ?? 0) & 32, 0);
  t.is((window ?? 0) >> 3, 10);
});
