/** What stands between `hawser image build` and the pipeline: rights, lock against recipe, keys, gone packages. */
import {readFile, realpath, stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {CommandContext} from '../services/common/command.ts';
import {ImageManifest} from '../services/common/contracts/image.ts';
import {systemErrorCode} from '../services/common/errors.ts';
import {sha256} from '../services/common/hash.ts';
import {parseJson, ParseError} from '../services/common/parse.ts';
import {withStep} from '../services/common/progress.ts';
import {ImageError} from './errors.ts';
import {keySetPaths} from './keys/key-set.ts';
import {diffLocks, renderChanges, serializeLock, type Lock} from './packages/lock.ts';
import type {Mirrors} from './packages/mirrors.ts';
import {lockRequest, resolveLock} from './packages/resolve.ts';
import {buildImage, type BuildRequest, type BuiltImage} from './pipeline.ts';
import type {Recipe} from './recipe/recipe.ts';
import {hashFolder} from './steps/folder-hash.ts';
import {sourcesFolder} from './workspace.ts';

export interface BuildOptions {
  readonly recipe: Recipe;
  readonly recipeFolder: string;
  readonly lock: Lock;
  readonly mirrors: Mirrors;
  readonly version: string;
  readonly home: string;
  readonly cache: string;
  readonly keys: string | undefined;
  readonly unsigned: boolean;
  readonly refresh: boolean;
  /** Do nothing when the current image was built from the same inputs. */
  readonly ifChanged: boolean;
}

/** Builds; with `refresh`, resolves anew and says what changed when the archive has lost locked packages. */
export async function buildWithLock(context: CommandContext, options: BuildOptions): Promise<BuiltImage & {readonly upToDate: boolean}> {
  if (options.lock.request !== lockRequest(options.recipe)) {
    throw new ImageError('lock-does-not-fit', 'the lock was made from another recipe', {
      remedy: 'run "hawser image lock" and review the difference',
    });
  }
  const keys = options.unsigned ? undefined : await keysFolder(options);
  const images = join(options.home, 'images');
  const inputs = await hashInputs(options, keys);
  if (options.ifChanged) {
    const current = await currentBuild(images);
    if (current?.manifest.inputs === inputs) return {...current, upToDate: true};
  }
  const request: BuildRequest = {
    recipe: options.recipe,
    recipeFolder: options.recipeFolder,
    sources: sourcesFolder,
    lock: options.lock,
    locked: true,
    mirrors: options.mirrors,
    version: options.version,
    cache: options.cache,
    keys,
    inputs,
    images,
    progress: context.progress,
    signal: context.signal,
  };
  try {
    return {...(await buildImage(request)), upToDate: false};
  } catch (error) {
    if (!(error instanceof ImageError) || error.code !== 'package-gone' || !options.refresh) throw error;
    context.warn(`${error.message}: resolving anew, the image will not be the locked one`);
  }
  const {lock} = options;
  const fresh = await withStep(context.progress, 'resolving packages', () => resolveLock(options.recipe, options.mirrors, lock.epoch, context.signal));
  for (const line of renderChanges(diffLocks(lock, fresh))) context.warn(line);
  return {...(await buildImage({...request, lock: fresh, locked: false})), upToDate: false};
}

async function hashInputs(options: BuildOptions, keys: string | undefined): Promise<string> {
  const {recipe, lock, version} = options;
  const agents: string[] = [];
  for (const name of recipe.provision.agents) agents.push(await hashFolder(join(sourcesFolder, 'services', name)));
  const parts = {
    recipe,
    version,
    lock: serializeLock(lock),
    pipeline: await hashFolder(join(sourcesFolder, 'image-build')),
    files: await hashFolder(options.recipeFolder),
    common: await hashFolder(join(sourcesFolder, 'services', 'common')),
    agents,
    certificate: keys === undefined ? null : await readFile(keySetPaths(keys).db.certificate, 'utf8'),
  };
  return sha256(JSON.stringify(parts));
}

/** The image that `current` points to; undefined when there is none, or one that this version cannot read. */
async function currentBuild(images: string): Promise<BuiltImage | undefined> {
  try {
    const folder = await realpath(join(images, 'current'));
    const manifest = parseJson(ImageManifest, await readFile(join(folder, 'manifest.json'), 'utf8'), folder);
    return {folder, manifest};
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || error instanceof ParseError) return undefined;
    throw error;
  }
}

async function keysFolder(options: BuildOptions): Promise<string | undefined> {
  if (options.keys !== undefined) return options.keys;
  const folder = join(options.home, 'keys');
  return (await stat(folder).catch(() => undefined)) === undefined ? undefined : folder;
}
