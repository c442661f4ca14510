import {mkdir, readdir, readFile, stat, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {partitionType, slotPartitionUuids, ukiFileName} from '../../../services/common/contracts/slots.ts';
import {sha256, sha256File} from '../../../services/common/hash.ts';
import {FormatError, type FormatErrorCode} from '../../../services/common/formats/errors.ts';
import type {ExportedFile, ExportRequest} from '../../../image-build/formats/exporters/exporter.ts';
import {exporterFor, exporters} from '../../../image-build/formats/exporters/index.ts';
import {buildDisk} from './disk-builder.ts';
import {buildPe} from './pe-builder.ts';
import {haveTools, run, temporaryFolder} from './tools.ts';
import {buildTree} from './verity-builder.ts';

const SECTORS = 8192;
const FIRST = {esp: 64, usr: 4096, tree: 6144} as const;
const LAST = {esp: 4095, usr: 6143, tree: 7000} as const;

interface Release {
  readonly request: ExportRequest;
  readonly parts: {readonly usr: Uint8Array; readonly tree: Uint8Array; readonly uki: Uint8Array};
}

/** A 4 MiB disk with a real FAT file system, a /usr of 130 blocks, its tree and a kernel image that names it. */
async function makeRelease(t: ExecutionContext, version = '1.2.3'): Promise<Release> {
  const folder = await temporaryFolder(t);
  const usr = Buffer.alloc(130 * 4096, 'the /usr of the test ');
  usr.fill(0, 4096 * 20, 4096 * 60);
  const {tree, rootHash} = buildTree(usr);
  const text = (content: string) => new TextEncoder().encode(content);
  const uki = buildPe([
    {name: '.linux', content: text('kernel')},
    {name: '.cmdline', content: text(`quiet usrhash=${rootHash} rw`)},
  ]);
  const esp = join(folder, 'esp.img');
  await writeFile(esp, '');
  await truncate(esp, (LAST.esp - FIRST.esp + 1) * 512);
  run('mkfs.vfat', ['--invariant', esp]);
  run('mmd', ['-i', esp, '::/EFI', '::/EFI/Linux']);
  run('mcopy', ['-i', esp, '-', `::/EFI/Linux/${ukiFileName(version, 3)}`], uki);
  run('mcopy', ['-i', esp, '-', `::/EFI/Linux/${ukiFileName(`${version}-rc.1`, 3)}`], 'another release');
  const uuids = slotPartitionUuids(rootHash);
  const disk = buildDisk(SECTORS, [
    {
      type: partitionType.esp,
      uuid: uuids.data.replace(/^./, '0'),
      label: 'ESP',
      firstLba: FIRST.esp,
      lastLba: LAST.esp,
    },
    {
      type: partitionType.usr,
      uuid: uuids.data,
      label: 'hawser_1.2.3',
      firstLba: FIRST.usr,
      lastLba: LAST.usr,
    },
    {
      type: partitionType.usrVerity,
      uuid: uuids.tree,
      label: 'hawser_1.2.3_v',
      firstLba: FIRST.tree,
      lastLba: LAST.tree,
    },
  ]);
  disk.set(await readFile(esp), FIRST.esp * 512);
  disk.set(usr, FIRST.usr * 512);
  disk.set(tree, FIRST.tree * 512);
  await writeFile(join(folder, 'disk.raw'), disk);
  const out = join(folder, 'out');
  await mkdir(out);
  const request = {
    disk: join(folder, 'disk.raw'),
    folder: out,
    name: 'hawser-1.2.3',
    release: {version, rootHash},
  };
  return {request, parts: {usr, tree, uki}};
}

const tools = (t: ExecutionContext) => haveTools(t, 'mkfs.vfat', 'mmd', 'mcopy', 'qemu-img');

async function change(path: string, offset: number, bytes: Uint8Array): Promise<void> {
  const disk = await readFile(path);
  disk.set(bytes, offset);
  await writeFile(path, disk);
}

test('every format that a recipe may name has an exporter of that name', t => {
  t.deepEqual([...exporters.keys()], ['raw', 'qcow2', 'update']);
  for (const [format, exporter] of exporters) t.is(exporter.format, format);
  const error = t.throws(() => exporterFor('vhd'), {instanceOf: FormatError});
  t.is(error.code, 'unknown-format');
  t.is(error.remedy, 'use one of: raw, qcow2, update');
});

for (const exporter of exporters.values()) {
  test(`${exporter.format}: what it reports is what it wrote, and nothing else is there`, async t => {
    if (!tools(t)) return;
    const {request} = await makeRelease(t);
    const before = await sha256File(request.disk);
    const files = await exporter.export(request);
    t.deepEqual((await readdir(request.folder)).sort(), files.map(one => one.file).sort());
    for (const one of files) {
      t.is((await stat(join(request.folder, one.file))).size, one.size);
      t.is(await sha256File(join(request.folder, one.file)), one.sha256);
      t.regex(one.file, /^hawser-1\.2\.3\.[a-z0-9]+$/);
    }
    t.is(await sha256File(request.disk), before, 'the disk is only read');
  });

  test(`${exporter.format}: twice from one disk is the same bytes, over a former run too`, async t => {
    if (!tools(t)) return;
    const {request} = await makeRelease(t);
    const hashes = (files: readonly ExportedFile[]) => files.map(one => one.sha256);
    t.deepEqual(hashes(await exporter.export(request)), hashes(await exporter.export(request)));
  });

  test(`${exporter.format}: a disk without a partition table, or a folder that is not there, leaves nothing`, async t => {
    if (!tools(t)) return;
    const {request} = await makeRelease(t);
    await t.throwsAsync(exporter.export({...request, folder: join(request.folder, 'none')}));
    await change(request.disk, 512, Buffer.alloc(512));
    await truncate(request.disk, 100 * 512 + 1);
    if (exporter.format !== 'qcow2') await t.throwsAsync(exporter.export(request), {instanceOf: FormatError});
    t.deepEqual(await readdir(request.folder), []);
  });

  test(`${exporter.format}: an interruption leaves nothing`, async t => {
    if (!tools(t)) return;
    const {request} = await makeRelease(t);
    await t.throwsAsync(exporter.export({...request, signal: AbortSignal.abort()}));
    t.deepEqual(await readdir(request.folder), []);
  });
}

test('raw: the disk byte for byte, with holes where it holds zeros', async t => {
  if (!tools(t)) return;
  const {request} = await makeRelease(t);
  const [file] = await exporterFor('raw').export(request);
  const path = join(request.folder, file?.file ?? '');
  t.deepEqual(await readFile(path), await readFile(request.disk));
  t.true((await stat(path)).blocks < (await stat(request.disk)).blocks);
});

test('qcow2: compressed, complete in itself, and the raw disk again when converted back', async t => {
  if (!tools(t)) return;
  const {request} = await makeRelease(t);
  const [file] = await exporterFor('qcow2').export(request);
  const path = join(request.folder, file?.file ?? '');
  const back = join(request.folder, 'back.raw');
  run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', path, back]);
  t.is(await sha256File(back), await sha256File(request.disk));
  t.regex(run('qemu-img', ['info', path]).toString(), /compression type: zstd/);
});

test("update: /usr, tree and kernel image come out as the build's own files", async t => {
  if (!tools(t)) return;
  const {request, parts} = await makeRelease(t);
  const files = await exporterFor('update').export(request);
  t.deepEqual(
    files.map(one => [one.name, one.sha256]),
    [
      ['usr', sha256(parts.usr)],
      ['tree', sha256(parts.tree)],
      ['uki', sha256(parts.uki)],
    ],
  );
});

const tampered: [string, FormatErrorCode, (release: Release) => Promise<void> | Promise<unknown>][] = [
  [
    'one bit of /usr',
    'verity-mismatch',
    ({request}) => change(request.disk, FIRST.usr * 512 + 9, Buffer.from([1])),
  ],
  [
    'one bit of the tree',
    'verity-mismatch',
    ({request}) => change(request.disk, FIRST.tree * 512 + 4096 + 3, Buffer.from([1])),
  ],
  [
    'bytes behind /usr',
    'export-differs',
    ({request}) => change(request.disk, LAST.usr * 512, Buffer.from([1])),
  ],
  [
    'bytes behind the tree',
    'export-differs',
    ({request}) => change(request.disk, LAST.tree * 512, Buffer.from([1])),
  ],
];
for (const [name, code, tamper] of tampered) {
  test(`update: ${name} is noticed`, async t => {
    if (!tools(t)) return;
    const release = await makeRelease(t);
    await tamper(release);
    const error = await t.throwsAsync(exporterFor('update').export(release.request), {
      instanceOf: FormatError,
    });
    t.is(error.code, code);
    t.deepEqual(await readdir(release.request.folder), []);
  });
}

test('update: a release that the disk does not hold is refused, by root hash and by version', async t => {
  if (!tools(t)) return;
  const {request} = await makeRelease(t);
  const code = async (release: ExportRequest['release']) =>
    (await t.throwsAsync(exporterFor('update').export({...request, release}), {instanceOf: FormatError}))
      .code;
  t.is(await code({...request.release, rootHash: 'a'.repeat(64)}), 'no-such-partition');
  t.is(await code({...request.release, version: '1.2.4'}), 'no-such-file');
});
