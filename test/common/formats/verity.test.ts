import {createHash} from 'node:crypto';
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {memorySource} from '../../../services/common/formats/byte-source.ts';
import {FormatError} from '../../../services/common/formats/errors.ts';
import {readVerity, verifyVerity} from '../../../services/common/formats/verity.ts';
import {buildTree} from '../../image-build/formats/verity-builder.ts';
import {haveTools, run, temporaryFolder} from '../../image-build/formats/tools.ts';

const data = (blocks: number) =>
  Buffer.concat(
    Array.from({length: blocks}, (_, i) =>
      Buffer.alloc(4096, createHash('sha256').update(String(i)).digest()),
    ),
  );

for (const blocks of [1, 2, 128, 129, 300]) {
  test(`data of ${blocks} blocks and its tree hang from the root hash`, async t => {
    const bytes = data(blocks);
    const {tree, rootHash} = buildTree(bytes);
    const verity = await readVerity(memorySource(tree));
    t.is(verity.dataSize, bytes.length);
    t.is(verity.treeSize, tree.length);
    await t.notThrowsAsync(verifyVerity(memorySource(bytes), memorySource(tree), rootHash));
  });
}

for (const blocks of [1, 129, 300]) {
  test(`what veritysetup writes over ${blocks} blocks is accepted, and one flipped bit anywhere is not`, async t => {
    if (!haveTools(t, 'veritysetup')) return;
    const folder = await temporaryFolder(t);
    const [dataFile, treeFile, rootFile] = ['data', 'tree', 'root'].map(name => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await writeFile(dataFile, data(blocks));
    await writeFile(treeFile, '');
    run('veritysetup', ['format', `--root-hash-file=${rootFile}`, dataFile, treeFile]);
    const rootHash = (await readFile(rootFile, 'utf8')).trim();
    const tree = await readFile(treeFile);
    await t.notThrowsAsync(verifyVerity(memorySource(data(blocks)), memorySource(tree), rootHash));
    const reject = async (bytes: Uint8Array, hashes: Uint8Array, root = rootHash) =>
      t.throwsAsync(verifyVerity(memorySource(bytes), memorySource(hashes), root), {
        instanceOf: FormatError,
        code: 'verity-mismatch',
      });
    await reject(flip(data(blocks), blocks * 4096 - 1), tree);
    await reject(
      data(blocks),
      tree,
      rootHash.replace(/^./, first => (first === '0' ? '1' : '0')),
    );
    const {levels} = await readVerity(memorySource(tree));
    for (const level of levels) await reject(data(blocks), flip(tree, level.offset + 5));
  });
}

function flip(bytes: Uint8Array, at: number): Uint8Array {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
  return changed;
}

for (const [name, at, value] of [
  ['without a superblock', 0, [0]],
  ['of another version', 8, [2]],
  ['of hash type 0', 12, [0]],
  ['with another hash', 32, [0x62]],
  ['with blocks of two sizes', 68, [0, 32]],
  ['with no data', 72, [0, 0, 0, 0, 0, 0, 0, 0]],
  ['with more data than can be', 77, [255, 255, 255]],
  ['with a salt beyond its place', 80, [255, 255]],
] as const) {
  test(`a hash partition ${name} is refused`, async t => {
    const {tree} = buildTree(data(3));
    tree.set(value, at);
    await t.throwsAsync(readVerity(memorySource(tree)), {instanceOf: FormatError, code: 'bad-verity'});
  });
}
