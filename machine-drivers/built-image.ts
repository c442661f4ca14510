/** An image folder, opened for its raw disk. */
import {readFile, realpath, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {ImageManifest} from '../services/common/contracts/image.ts';
import {describeError} from '../services/common/errors.ts';
import {parseJson} from '../services/common/parse.ts';
import {checkFailed} from './errors.ts';
import type {BuiltImage} from './publisher.ts';

/** Throws by `checkFailed`. */
export async function openBuiltImage(path: string): Promise<BuiltImage> {
  try {
    const folder = await realpath(path);
    const manifestPath = join(folder, 'manifest.json');
    const manifest = parseJson(ImageManifest, await readFile(manifestPath, 'utf8'), manifestPath);
    const artefact = manifest.artefacts['disk'];
    if (artefact === undefined) throw new Error(`${folder} holds no raw disk`);
    const disk = join(folder, artefact.file);
    const {size} = await stat(disk);
    if (size !== artefact.size) throw new Error(`${disk} has ${size} bytes, not ${artefact.size}`);
    return {folder, manifest, disk};
  } catch (error) {
    throw checkFailed(
      `the image cannot be used: ${describeError(error)}`,
      'build one with hawser image build, or name another',
      error,
    );
  }
}
