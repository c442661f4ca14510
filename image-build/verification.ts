/** Compares an image with one that was built again from its lock, recipe and signatures. */
import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {sha256File} from '../services/common/hash.ts';
import {differingFiles, differingParts, differingSections} from './comparison.ts';
import {FormatError} from '../services/common/formats/errors.ts';
import {compareQcow2} from './formats/exporters/qcow2.ts';
import {sha256Sparse} from './formats/sparse-hash.ts';
import {artefactPath, type Image} from './images.ts';
import {sha256Unpacked} from './steps/compress.ts';
import {execInRoot} from './tools-root.ts';

export interface Verification {
  readonly rootHash: {readonly published: string; readonly rebuilt: string};
  /** Artefacts that came out the same, by name. */
  readonly same: readonly string[];
  /** What differs, one line each; empty when the image is what it says. */
  readonly differences: readonly string[];
}

export interface Comparison {
  readonly image: Image;
  readonly rebuilt: Image;
  /** Tools root, for taking file systems apart. */
  readonly toolsRoot: string;
  /** Empty folder to work in. */
  readonly work: string;
  readonly signal: AbortSignal;
}

const EXTRACT_TIMEOUT_MS = 600_000;
const FILES_SHOWN = 20;

/** The bytes on disk are compared, never what a manifest says of them. */
export async function compareImages(comparison: Comparison): Promise<Verification> {
  const {image, rebuilt} = comparison;
  const rootHash = {published: image.manifest.rootHash, rebuilt: rebuilt.manifest.rootHash};
  const same: string[] = [];
  const differences: string[] = [];
  if (rootHash.published !== rootHash.rebuilt) {
    differences.push(`the root hash is ${rootHash.published}, rebuilt it is ${rootHash.rebuilt}`);
  }
  for (const name of Object.keys(image.manifest.artefacts)) {
    const found = await compareArtefact(comparison, name);
    if (found.length === 0) same.push(name);
    else differences.push(...found.map(one => `${name}: ${one}`));
  }
  return {rootHash, same, differences};
}

async function compareArtefact(comparison: Comparison, name: string): Promise<string[]> {
  const {image, rebuilt, signal} = comparison;
  const mine = await artefactPath(image, name);
  if (name === 'qcow2') return compareDisk(await artefactPath(rebuilt, 'disk'), mine, signal);
  if (name === 'disk.zst') {
    const disk = await sha256Sparse(await artefactPath(rebuilt, 'disk'), signal);
    return (await sha256Unpacked(mine, signal)) === disk ? [] : ['unpacks to another disk'];
  }
  const fresh = await artefactPath(rebuilt, name);
  const digest = (path: string) => (name === 'disk' ? sha256Sparse(path, signal) : sha256File(path));
  if ((await digest(mine)) === (await digest(fresh))) return [];
  if (name === 'disk') return (await differingParts(mine, fresh, signal)).map(part => `${part} differs`);
  if (name === 'uki') return (await differingSections(mine, fresh)).map(section => `${section} differs`);
  if (name === 'usr') return compareTrees(comparison, mine, fresh);
  return ['differs'];
}

/** By content: the bytes of a qcow2 file depend on the qemu-img that wrote it, which no lock names. */
async function compareDisk(disk: string, path: string, signal: AbortSignal): Promise<string[]> {
  try {
    await compareQcow2(disk, path, signal);
    return [];
  } catch (error) {
    if (error instanceof FormatError && error.code === 'export-differs') return ['holds another disk'];
    throw error;
  }
}

async function compareTrees(
  {toolsRoot, work, signal}: Comparison,
  mine: string,
  fresh: string,
): Promise<string[]> {
  const folders = {image: join(work, 'image'), rebuilt: join(work, 'rebuilt')};
  for (const [file, folder] of [
    [mine, folders.image],
    [fresh, folders.rebuilt],
  ] as const) {
    await mkdir(folder);
    const binds = {[join(file, '..')]: '/image', [folder]: '/build'};
    const argv = [
      'fsck.erofs',
      '--extract=/build/usr',
      '--preserve',
      `/image/${file.split('/').at(-1) ?? ''}`,
    ];
    await execInRoot({root: toolsRoot, binds, argv, timeoutMs: EXTRACT_TIMEOUT_MS, signal});
  }
  const files = await differingFiles(join(folders.image, 'usr'), join(folders.rebuilt, 'usr'));
  if (files.length === 0) return ['the files are the same, the file system around them is not'];
  const lines = files.slice(0, FILES_SHOWN).map(({path, what}) => `/usr/${path}: ${what}`);
  return files.length > FILES_SHOWN ? [...lines, `and ${files.length - FILES_SHOWN} files more`] : lines;
}
