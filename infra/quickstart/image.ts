/** The image that the quickstart's machines boot: the one of this recipe and lock, built when it is not there. */
import {readFile, realpath} from 'node:fs/promises';
import {join} from 'node:path';
import {ImageManifest} from '../../services/common/contracts/image.ts';
import {parseJson} from '../../services/common/parse.ts';
import {currentImage, resolvePaths} from '../../services/common/paths.ts';
import type {Progress} from '../../services/common/progress.ts';
import {hawser} from './hawser.ts';

export interface UsedImage {
  readonly folder: string;
  /** False when it was there already. */
  readonly built: boolean;
  readonly locked: boolean;
}

/** Signs with the user's keys (made when there are none), so that the machines run under Secure Boot. */
export async function ensureImage(progress: Progress, signal: AbortSignal): Promise<UsedImage> {
  await hawser(['keys', 'init'], {signal});
  const status = await hawser(['image', 'build', '--if-changed', '--refresh'], {
    signal,
    onLine: line => progress.note(`  ${line}`),
  });
  const folder = await realpath(currentImage(resolvePaths(process.env)));
  const manifest = parseJson(
    ImageManifest,
    await readFile(join(folder, 'manifest.json'), 'utf8'),
    `${folder}/manifest.json`,
  );
  return {folder, built: !status.includes('up to date'), locked: manifest.locked};
}
