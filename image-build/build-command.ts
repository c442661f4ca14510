/** What stands between `hawser image build` and the pipeline: rights, lock against recipe, keys, gone packages. */
import {stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {CommandContext} from '../services/common/command.ts';
import {withStep} from '../services/common/progress.ts';
import {ImageError} from './errors.ts';
import {diffLocks, renderChanges, type Lock} from './packages/lock.ts';
import type {Mirrors} from './packages/mirrors.ts';
import {lockRequest, resolveLock} from './packages/resolve.ts';
import {buildImage, type BuildRequest, type BuiltImage} from './pipeline.ts';
import type {Recipe} from './recipe/recipe.ts';
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
}

/** Builds; with `refresh`, resolves anew and says what changed when the archive has lost locked packages. */
export async function buildWithLock(context: CommandContext, options: BuildOptions): Promise<BuiltImage> {
  if (options.lock.request !== lockRequest(options.recipe)) {
    throw new ImageError('lock-does-not-fit', 'the lock was made from another recipe', {
      remedy: 'run "hawser image lock" and review the difference',
    });
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
    keys: options.unsigned ? undefined : await keysFolder(options),
    images: join(options.home, 'images'),
    progress: context.progress,
    signal: context.signal,
  };
  try {
    return await buildImage(request);
  } catch (error) {
    if (!(error instanceof ImageError) || error.code !== 'package-gone' || !options.refresh) throw error;
    context.warn(`${error.message}: resolving anew, the image will not be the locked one`);
  }
  const {lock} = options;
  const fresh = await withStep(context.progress, 'resolving packages', () => resolveLock(options.recipe, options.mirrors, lock.epoch, context.signal));
  for (const line of renderChanges(diffLocks(lock, fresh))) context.warn(line);
  return buildImage({...request, lock: fresh, locked: false});
}

async function keysFolder(options: BuildOptions): Promise<string | undefined> {
  if (options.keys !== undefined) return options.keys;
  const folder = join(options.home, 'keys');
  return (await stat(folder).catch(() => undefined)) === undefined ? undefined : folder;
}
