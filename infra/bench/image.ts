/** The Hawser image that is measured, and the tools root that its lock names. */
import {access, readFile, realpath} from 'node:fs/promises';
import {join} from 'node:path';
import {Lock} from '../../image-build/packages/lock.ts';
import {openStore} from '../../image-build/packages/store.ts';
import {ensureRoot} from '../../image-build/steps/root.ts';
import {fetchPackages} from '../../image-build/packages/fetch.ts';
import type {Mirrors} from '../../image-build/packages/mirrors.ts';
import {ImageManifest, type ArtefactName} from '../../services/common/contracts/image.ts';
import {systemErrorCode} from '../../services/common/errors.ts';
import {parseJson} from '../../services/common/parse.ts';
import {withStep, type Progress} from '../../services/common/progress.ts';
import {BenchError} from './errors.ts';

export interface HawserImage {
  readonly folder: string;
  readonly manifest: ImageManifest;
  /** Of a signed image, where the machine that built it had the firmware. */
  readonly firmwareVars: string | undefined;
}

/** Throws `no-image` when there is none at `folder`. */
export async function openHawserImage(folder: string): Promise<HawserImage> {
  try {
    const real = await realpath(folder);
    const text = await readFile(join(real, 'manifest.json'), 'utf8');
    const vars = join(real, 'ovmf-vars-secboot.fd');
    return {
      folder: real,
      manifest: parseJson(ImageManifest, text, join(real, 'manifest.json')),
      firmwareVars: (await exists(vars)) ? vars : undefined,
    };
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new BenchError('no-image', `there is no image at ${folder}`, {
      remedy: 'run "npm run hawser -- image build"',
      cause: error,
    });
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

export function artefactPath(image: HawserImage, name: ArtefactName): string {
  return join(image.folder, artefact(image, name).file);
}

export function artefactBytes(image: HawserImage, name: ArtefactName): number {
  return artefact(image, name).size;
}

function artefact(image: HawserImage, name: ArtefactName) {
  const found = image.manifest.artefacts[name];
  if (found !== undefined) return found;
  throw new BenchError('no-image', `the image at ${image.folder} has no ${name}`, {remedy: 'build it again'});
}

export interface ToolsInput {
  readonly lockFile: string;
  readonly cache: string;
  readonly mirrors: Mirrors;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** The tools that make Hawser's image make Debian's too; from the cache once one image was built. */
export async function ensureTools(input: ToolsInput): Promise<string> {
  const {cache, signal} = input;
  const lock = parseJson(Lock, await readFile(input.lockFile, 'utf8'), input.lockFile);
  const store = openStore(join(cache, 'store'));
  return withStep(input.progress, 'tools', async step => {
    await fetchPackages(store, input.mirrors, lock.tools, step, signal);
    return ensureRoot({
      cache,
      store,
      purpose: 'tools',
      packages: lock.tools,
      epoch: lock.epoch,
      step,
      signal,
    });
  });
}
