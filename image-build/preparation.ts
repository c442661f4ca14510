/** What a build stands on: the packages of the lock, and the two roots made of them. */
import {join} from 'node:path';
import {withStep, type Progress} from '../services/common/progress.ts';
import {openCache} from './cache.ts';
import {megabytes} from './contents/sizes.ts';
import {ImageError} from './errors.ts';
import {fetchPackages} from './packages/fetch.ts';
import {lockedPackages, type Lock} from './packages/lock.ts';
import type {Mirrors} from './packages/mirrors.ts';
import {fetchTarball} from './packages/npm.ts';
import {openStore} from './packages/store.ts';
import type {Recipe} from './recipe/recipe.ts';
import type {BuildContext} from './steps/context.ts';
import {ensureRoot} from './steps/root.ts';

export interface PrepareRequest {
  readonly recipe: Recipe;
  readonly recipeFolder: string;
  readonly lock: Lock;
  readonly mirrors: Mirrors;
  readonly cache: string;
  /** Folder of cached steps when not that of `cache`; on the same file system. */
  readonly stepCache?: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Fetches what is missing, and installs the roots that the cache does not have. Throws {@link ImageError}. */
export async function prepareBuild(request: PrepareRequest): Promise<BuildContext> {
  const {lock, mirrors, progress, signal} = request;
  const store = openStore(join(request.cache, 'store'));
  await withStep(
    progress,
    'packages',
    async step => {
      const {bytes, gone} = await fetchPackages(store, mirrors, lockedPackages(lock), step, signal);
      for (const entry of lock.npm) await fetchTarball(join(request.cache, 'npm'), entry, signal);
      if (gone.length > 0) throw goneError(gone.map(({name, version}) => `${name} ${version}`));
      return bytes;
    },
    bytes => `${megabytes(bytes)} fetched`,
  );
  const root = (purpose: 'tools' | 'image') =>
    withStep(progress, `${purpose} root`, step =>
      ensureRoot({
        cache: request.cache,
        store,
        purpose,
        packages: lock[purpose],
        epoch: lock.epoch,
        step,
        signal,
      }),
    );
  const toolsRoot = await root('tools');
  const imageRoot = await root('image');
  const cache = openCache(request.stepCache ?? request.cache);
  return {
    recipe: request.recipe,
    recipeFolder: request.recipeFolder,
    lock,
    cache,
    store,
    toolsRoot,
    imageRoot,
    progress,
    signal,
  };
}

function goneError(names: readonly string[]): ImageError {
  return new ImageError('package-gone', `the archive no longer has ${names.join(', ')}`, {
    remedy: 'run "hawser image lock", review the difference and build again',
  });
}
