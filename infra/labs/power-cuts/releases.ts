/** What whole releases look like, byte for byte: from the artefacts of their images. */
import {createHash} from 'node:crypto';
import {open} from 'node:fs/promises';
import {join} from 'node:path';
import {exec} from '../../../services/common/exec.ts';
import type {ByteSource} from '../../../services/common/formats/byte-source.ts';
import {ImageManifest} from '../../../services/common/contracts/image.ts';
import {parseJson} from '../../../services/common/parse.ts';
import {readFile} from 'node:fs/promises';

export interface KnownRelease {
  readonly version: string;
  readonly rootHash: string;
  readonly ukiSha256: string;
  readonly loaderSha256: string;
  readonly usr: {readonly path: string; readonly size: number};
  readonly tree: {readonly path: string; readonly size: number};
}

const CHUNK = 4 << 20;

/** Proves an image's /usr and hash tree against the root hash, by veritysetup. */
export async function knownRelease(image: string): Promise<KnownRelease> {
  const path = join(image, 'manifest.json');
  const manifest = parseJson(ImageManifest, await readFile(path, 'utf8'), path);
  const artefact = (name: string) => {
    const found = manifest.artefacts[name];
    if (found === undefined) throw new Error(`${image} has no ${name}`);
    return {path: join(image, found.file), size: found.size, sha256: found.sha256};
  };
  const [usr, tree] = [artefact('usr'), artefact('tree')];
  await exec(['veritysetup', 'verify', usr.path, tree.path, manifest.rootHash], {timeoutMs: 300_000});
  return {
    version: manifest.version,
    rootHash: manifest.rootHash,
    ukiSha256: artefact('uki').sha256,
    loaderSha256: artefact('boot-loader').sha256,
    usr,
    tree,
  };
}

/** Whether a partition begins with exactly the bytes of a file. */
export async function holdsFile(
  partition: ByteSource,
  {path, size}: {readonly path: string; readonly size: number},
): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const wanted = Buffer.alloc(CHUNK);
    for (let at = 0; at < size; at += CHUNK) {
      const length = Math.min(CHUNK, size - at);
      await file.read(wanted, 0, length, at);
      if (!wanted.subarray(0, length).equals(await partition.read(at, length))) return false;
    }
    return true;
  } finally {
    await file.close();
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
