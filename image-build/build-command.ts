/** What stands between `hawser image build` and the pipeline: lock against recipe, keys, budget, gone packages. */
import {readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {CommandContext} from '../services/common/command.ts';
import {HawserError} from '../services/common/errors.ts';
import {parseJson} from '../services/common/parse.ts';
import {withStep} from '../services/common/progress.ts';
import {Budget} from './budget.ts';
import {ImageError} from './errors.ts';
import {openImage} from './images.ts';
import {inputsDigest, readInputs} from './inputs.ts';
import {diffLocks, renderChanges, type Lock} from './packages/lock.ts';
import type {Mirrors} from './packages/mirrors.ts';
import {lockRequest, resolveLock} from './packages/resolve.ts';
import {buildImage, type BuildRequest, type BuiltImage} from './pipeline.ts';
import type {Recipe} from './recipe/recipe.ts';
import {checkSigning, type Signing} from './signing.ts';
import {budgetFile, sourcesFolder} from './workspace.ts';

export interface BuildOptions {
  readonly recipe: Recipe;
  readonly recipeFolder: string;
  readonly lock: Lock;
  readonly mirrors: Mirrors;
  readonly version: string;
  readonly home: string;
  readonly cache: string;
  readonly signing: Signing;
  readonly release: boolean;
  readonly checkBudget: boolean;
  readonly refresh: boolean;
  /** Do nothing when the current image was built from the same inputs. */
  readonly ifChanged: boolean;
}

/** Builds; with `refresh`, resolves anew and says what changed when the archive has lost locked packages. */
export async function buildWithLock(
  context: CommandContext,
  options: BuildOptions,
): Promise<BuiltImage & {readonly upToDate: boolean}> {
  const {recipe, recipeFolder, lock, version, signing, release} = options;
  if (lock.request !== lockRequest(recipe)) {
    throw new ImageError('lock-does-not-fit', 'the lock was made from another recipe', {
      remedy: 'run "hawser image lock" and review the difference',
    });
  }
  await checkSigning(signing);
  const images = join(options.home, 'images');
  const inputs = await readInputs({
    recipe,
    recipeFolder,
    sources: sourcesFolder,
    lock,
    version,
    signing,
    release,
  });
  if (options.ifChanged) {
    const current = await currentImage(images);
    if (current?.manifest.inputs === inputsDigest(inputs)) return {...current, upToDate: true};
  }
  const request: BuildRequest = {
    recipe,
    recipeFolder,
    sources: sourcesFolder,
    lock,
    locked: true,
    mirrors: options.mirrors,
    version,
    cache: options.cache,
    signing,
    release,
    budget: options.checkBudget
      ? parseJson(Budget, await readFile(budgetFile, 'utf8'), budgetFile)
      : undefined,
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
  const fresh = await withStep(context.progress, 'resolving packages', () =>
    resolveLock(recipe, options.mirrors, lock.epoch, context.signal),
  );
  for (const line of renderChanges(diffLocks(lock, fresh))) context.warn(line);
  return {...(await buildImage({...request, lock: fresh, locked: false})), upToDate: false};
}

/** The image that `current` points to; undefined when there is none, or one that this version cannot read. */
async function currentImage(images: string): Promise<BuiltImage | undefined> {
  try {
    return await openImage(join(images, 'current'));
  } catch (error) {
    if (error instanceof HawserError) return undefined;
    throw error;
  }
}

/** Keys that were named, else those of `hawser keys init` when they are there, else none. */
export async function defaultSigning(home: string): Promise<Signing> {
  const folder = join(home, 'keys');
  return (await stat(folder).catch(() => undefined)) === undefined ? {kind: 'none'} : {kind: 'keys', folder};
}
