/** Small releases as an image build makes them: blocks, their hash tree by veritysetup, a kernel image, a boot loader. */
import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {cpioField, type CpioEntry} from '../../services/common/formats/cpio.ts';
import {packArchives, splitArchives} from '../../image-build/steps/initrd-archives.ts';

const run = promisify(execFile);

export interface TestImage {
  readonly usr: string;
  readonly tree: string;
  readonly uki: string;
  readonly bootLoader: string;
  readonly rootHash: string;
}

export const testSalt = 'ab'.repeat(32);
const uuid = '9d9804df-0fcd-85b6-90f6-8cd42689ad44';

/** A block that a seed names: half of it compresses. */
export function block(seed: string | number): Buffer {
  const half = Buffer.concat(
    Array.from({length: 64}, (_, index) => createHash('sha256').update(`${seed}:${index}`).digest()),
  );
  return Buffer.concat([half, Buffer.alloc(2048, `text of ${seed} `)]);
}

/** Writes the files of a release into `folder`; `files` go into the initrd. Throws when veritysetup is missing. */
export async function makeImage(
  folder: string,
  name: string,
  usr: Uint8Array,
  files: Readonly<Record<string, Uint8Array>> = {},
): Promise<TestImage> {
  const path = (ending: string) => join(folder, `${name}.${ending}`);
  const image = {usr: path('usr'), tree: path('tree'), uki: path('efi'), bootLoader: path('loader.efi')};
  await writeFile(image.usr, usr);
  await run('veritysetup', [
    'format',
    `--salt=${testSalt}`,
    `--uuid=${uuid}`,
    `--root-hash-file=${path('roothash')}`,
    image.usr,
    image.tree,
  ]);
  const rootHash = (await readFile(path('roothash'), 'utf8')).trim();
  const initrd = await packArchives(
    splitArchives(Object.entries(files).map(([file, content]) => entry(file, content))),
  );
  await writeFile(
    image.uki,
    peOf({
      '.linux': Buffer.concat(Array.from({length: 40}, (_, index) => block(`kernel ${index}`))),
      '.cmdline': Buffer.from(`usrhash=${rootHash}`),
      '.initrd': initrd,
    }),
  );
  await writeFile(
    image.bootLoader,
    peOf({'.text': Buffer.concat([block('loader'), block('loader 2'), block('loader 3')])}),
  );
  return {...image, rootHash};
}

function entry(name: string, content: Uint8Array): CpioEntry {
  const fields = Array.from({length: 13}, () => 0);
  fields[cpioField.mode] = 0o100_644;
  fields[cpioField.links] = 1;
  fields[cpioField.mtime] = 1;
  return {name, fields, content};
}

/** A PE32+ image with these sections and nothing else: enough for every reader here. */
export function peOf(sections: Readonly<Record<string, Uint8Array>>): Buffer {
  const list = Object.entries(sections);
  const aligned = (size: number) => Math.ceil(size / 512) * 512;
  const headers = aligned(64 + 24 + 240 + list.length * 40);
  const bytes = Buffer.alloc(headers + list.reduce((sum, [, content]) => sum + aligned(content.length), 0));
  bytes.write('MZ', 0, 'latin1');
  bytes.writeUInt32LE(64, 0x3c);
  bytes.write('PE\0\0', 64, 'latin1');
  bytes.writeUInt16LE(0x8664, 68);
  bytes.writeUInt16LE(list.length, 70);
  bytes.writeUInt16LE(240, 84);
  const optional = 88;
  bytes.writeUInt16LE(0x20b, optional);
  bytes.writeUInt32LE(headers, optional + 60);
  bytes.writeUInt32LE(16, optional + 108);
  let at = headers;
  for (const [index, [name, content]] of list.entries()) {
    const header = optional + 240 + index * 40;
    bytes.write(name, header, 'latin1');
    bytes.writeUInt32LE(content.length, header + 8);
    bytes.writeUInt32LE(at, header + 12);
    bytes.writeUInt32LE(aligned(content.length), header + 16);
    bytes.writeUInt32LE(at, header + 20);
    bytes.set(content, at);
    at += aligned(content.length);
  }
  return bytes;
}
