/** `hawser image diff` on two small images that are whole: manifest, lock, sizes, UKI and hash tree. */
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {serializeLock, type LockedPackage} from '../../../image-build/packages/lock.ts';
import {exec} from '../../../services/common/exec.ts';
import {sha256} from '../../../services/common/hash.ts';
import {environmentOf, launcher} from '../../support/cli.ts';
import {buildPe} from '../formats/pe-builder.ts';
import {buildTree} from '../formats/verity-builder.ts';

const BLOCK = 4096;

function entry(name: string, version: string): LockedPackage {
  const hash = sha256(`${name} ${version}`);
  return {
    name,
    version,
    architecture: 'amd64',
    archive: 'debian',
    path: `pool/${name}.deb`,
    sha256: hash,
    size: 1,
  };
}

/** `blocks` are the fills of the blocks of /usr. */
async function makeImage(folder: string, version: string, libssl: string, blocks: readonly number[]) {
  await mkdir(folder, {recursive: true});
  const {tree, rootHash} = buildTree(Buffer.concat(blocks.map(fill => Buffer.alloc(BLOCK, fill))));
  const uki = buildPe([
    {name: '.linux', content: Buffer.from('kernel')},
    {name: '.cmdline', content: Buffer.from(`usrhash=${rootHash}`)},
  ]);
  const artefact = async (file: string, bytes: Uint8Array) => {
    await writeFile(join(folder, file), bytes);
    return {file, size: bytes.length, sha256: sha256(bytes)};
  };
  const lock = serializeLock({
    schema: 1,
    request: sha256('request'),
    epoch: 1,
    seed: '12345678-1234-8234-9234-123456789abc',
    tools: [],
    image: [entry('libssl3t64', libssl)],
    kernel: [entry('linux-image', '6.12')],
    npm: [],
  });
  await writeFile(join(folder, 'image.lock.json'), lock);
  await writeFile(join(folder, 'sizes.json'), JSON.stringify([{name: 'libssl3t64', size: 1000, files: 1}]));
  const manifest = {
    schema: 1,
    name: 'hawser',
    version,
    architecture: 'x86_64',
    locked: true,
    signed: false,
    rootHash,
    kernel: '6.12',
    lockSha256: sha256(lock),
    inputs: sha256(version),
    artefacts: {tree: await artefact('x.tree', tree), uki: await artefact('x.efi', uki)},
  };
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
}

test('what changed between two images is said down to the blocks that an update fetches', async t => {
  const home = await mkdtemp(join(tmpdir(), 'hawser-diff-'));
  t.teardown(() => rm(home, {recursive: true, force: true}));
  await makeImage(join(home, 'images', 'old'), '1.0.0', '3.5.7-1', [1, 2, 3, 4]);
  await makeImage(join(home, 'images', 'new'), '1.1.0', '3.5.9-1', [9, 1, 2, 8, 8]);
  const {stdout} = await exec([launcher, 'image', 'diff', 'old', 'new'], {
    timeoutMs: 60_000,
    env: environmentOf(home),
  });
  t.regex(stdout, /^version: 1\.0\.0 -> 1\.1\.0$/m);
  t.regex(stdout, /^UKI section \.cmdline: 72 -> 72 bytes, other content$/m);
  t.notRegex(stdout, /section \.linux/);
  t.regex(stdout, /^\^ libssl3t64 3\.5\.7-1 -> 3\.5\.9-1/m);
  t.regex(stdout, /^update: 2 of 5 blocks of \/usr are new, 0\.0 MB uncompressed$/m);
});
