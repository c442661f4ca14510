import {truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {memorySource} from '../../../services/common/formats/byte-source.ts';
import {FormatError} from '../../../services/common/formats/errors.ts';
import {parseDirectory} from '../../../image-build/formats/fat-directory.ts';
import {openFat} from '../../../image-build/formats/fat.ts';
import {openFileSource} from '../../../services/common/formats/file-source.ts';
import {haveTools, run, temporaryFolder} from './tools.ts';

const LONG = 'hawser_1.2.3-a-very-long-name-of-more-than-thirteen-units+3.efi';
const content = Buffer.from(Array.from({length: 70_000}, (_, i) => (i * 7 + (i >> 8)) & 0xff));

async function volume(t: ExecutionContext, bits: number, size: number): Promise<string> {
  const path = join(await temporaryFolder(t), 'fat.img');
  await writeFile(path, '');
  await truncate(path, size);
  run('mkfs.vfat', ['-F', String(bits), '-s', '1', '-n', 'ESP', path]);
  run('mmd', ['-i', path, '::/EFI', '::/EFI/Linux', '::/empty']);
  // A file between two others that is then removed leaves a gap, so that the next one is in two pieces.
  run('mcopy', ['-i', path, '-', '::/EFI/first'], content.subarray(0, 3000));
  run('mcopy', ['-i', path, '-', '::/EFI/second'], 'x');
  run('mdel', ['-i', path, '::/EFI/first']);
  run('mcopy', ['-i', path, '-', `::/EFI/Linux/${LONG}`], content);
  run('mcopy', ['-i', path, '-', '::/EFI/Linux/SHORT.EFI'], 'short');
  run('mcopy', ['-i', path, '-', '::/nothing'], '');
  return path;
}

for (const [bits, size] of [
  [12, 1 << 20],
  [16, 8 << 20],
  [32, 40 << 20],
] as const) {
  test(`FAT${bits}: long and short names, files in pieces and empty ones are read as mtools wrote them`, async t => {
    if (!haveTools(t, 'mkfs.vfat', 'mmd', 'mcopy', 'mdel')) return;
    await using source = await openFileSource(await volume(t, bits, size));
    const fat = await openFat(source);
    t.deepEqual(
      (await fat.list('')).map(one => [one.name, one.folder, one.size]),
      [
        ['EFI', true, 0],
        ['empty', true, 0],
        ['nothing', false, 0],
      ],
    );
    t.deepEqual(
      (await fat.list('EFI/Linux')).map(one => one.name),
      [LONG, 'SHORT.EFI'],
    );
    t.deepEqual(await fat.list('empty'), []);
    const file = await fat.file(`efi/LINUX/${LONG}`);
    t.deepEqual(Buffer.from(await file.read(0, file.size)), content);
    t.deepEqual(Buffer.from(await file.read(511, 40_000)), content.subarray(511, 40_511));
    t.is((await fat.file('nothing')).size, 0);
    for (const path of ['EFI/none', 'none/none', 'EFI/second/below', 'EFI']) {
      await t.throwsAsync(fat.file(path), {instanceOf: FormatError, code: 'no-such-file'}, path);
    }
    await t.throwsAsync(fat.list('EFI/second'), {instanceOf: FormatError, code: 'no-such-file'});
  });
}

function tinyFat(): Uint8Array {
  const bytes = new Uint8Array(64 * 512);
  const view = new DataView(bytes.buffer);
  view.setUint16(11, 512, true);
  view.setUint8(13, 1);
  view.setUint16(14, 1, true);
  view.setUint8(16, 1);
  view.setUint16(17, 16, true);
  view.setUint16(19, 64, true);
  view.setUint16(22, 1, true);
  view.setUint16(510, 0xaa55, true);
  bytes.set(new TextEncoder().encode('FILE       '), 2 * 512);
  view.setUint16(2 * 512 + 26, 2, true);
  view.setUint32(2 * 512 + 28, 1000, true);
  // FAT12: cluster 2 leads to 3, 3 is the last.
  bytes.set([0xf8, 0xff, 0xff, 0x03, 0xf0, 0xff], 512);
  return bytes;
}

test('a volume made by hand is read', async t => {
  const file = await (await openFat(memorySource(tinyFat()))).file('file');
  t.is((await file.read(0, 1000)).length, 1000);
});

const hostile: [string, (bytes: Uint8Array, view: DataView) => void][] = [
  ['a chain that leads in a circle', bytes => bytes.set([0x03, 0x20, 0x00], 512 + 3)],
  ['a chain out of the volume', bytes => bytes.set([0x00, 0x07], 512 + 3)],
  ['a file longer than its chain', (_, view) => view.setUint32(2 * 512 + 28, 1025, true)],
  ['clusters of no size', (_, view) => view.setUint8(13, 0)],
  ['sectors of an odd size', (_, view) => view.setUint16(11, 500, true)],
  ['no allocation table', (_, view) => view.setUint8(16, 0)],
  ['more sectors than its partition', (_, view) => view.setUint16(19, 65, true)],
  ['an allocation table over everything', (_, view) => view.setUint16(22, 64, true)],
  ['no boot sector', bytes => bytes.fill(0, 0, 512)],
];
for (const [name, breakIt] of hostile) {
  test(`a volume with ${name} is refused`, async t => {
    const bytes = tinyFat();
    breakIt(bytes, new DataView(bytes.buffer));
    const read = async () => {
      const file = await (await openFat(memorySource(bytes))).file('file');
      await file.read(0, file.size);
    };
    await t.throwsAsync(read, {instanceOf: FormatError, code: 'bad-fat'});
  });
}

test('a long name that does not belong to its entry is not believed', t => {
  const bytes = new Uint8Array(96);
  bytes.fill(0x41, 0, 32);
  bytes[0] = 0x41;
  bytes[11] = 0x0f;
  bytes[13] = 0x99; // checksum of another short name
  bytes.set(new TextEncoder().encode('REAL    TXT'), 32);
  t.deepEqual(
    parseDirectory(bytes).map(one => one.name),
    ['REAL.TXT'],
  );
});
