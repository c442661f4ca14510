/** A built image as `hawser image build` leaves it, small: its disk holds random bytes, for the fake compute driver. */
import {randomBytes} from 'node:crypto';
import {mkdir, stat, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Artefact, ImageManifest} from '../../../services/common/contracts/image.ts';
import {exec} from '../../../services/common/exec.ts';
import {sha256File} from '../../../services/common/hash.ts';

const DISK_BYTES = 8 << 20;

/** Makes it the current image of `home`; returns its folder. */
export async function builtImage(home: string, version: string): Promise<string> {
  const folder = join(home, 'images', `${version}-test`);
  await mkdir(folder, {recursive: true});
  const [disk, qcow2] = [`hawser-${version}.raw`, `hawser-${version}.qcow2`];
  await writeFile(join(folder, disk), randomBytes(DISK_BYTES));
  const convert = ['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', '-c'];
  await exec([...convert, join(folder, disk), join(folder, qcow2)], {timeoutMs: 60_000});
  const hex = '0'.repeat(64);
  const manifest: ImageManifest = {
    schema: 1,
    name: 'hawser',
    version,
    architecture: 'x86_64',
    locked: true,
    signed: false,
    rootHash: randomBytes(32).toString('hex'),
    kernel: '6.12',
    lockSha256: hex,
    inputs: hex,
    artefacts: {disk: await artefact(folder, disk), qcow2: await artefact(folder, qcow2)},
  };
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
  await symlink(`${version}-test`, join(home, 'images', 'current'));
  return folder;
}

async function artefact(folder: string, file: string): Promise<Artefact> {
  const path = join(folder, file);
  return {file, size: (await stat(path)).size, sha256: await sha256File(path)};
}
