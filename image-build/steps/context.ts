/** What every build step is given. */
import type {Progress} from '../../services/common/progress.ts';
import type {Cache} from '../cache.ts';
import type {Lock} from '../packages/lock.ts';
import type {Store} from '../packages/store.ts';
import type {Recipe} from '../recipe/recipe.ts';
import {execInRoot} from '../tools-root.ts';

export interface BuildContext {
  readonly recipe: Recipe;
  /** Folder of the recipe: its relative paths start here. */
  readonly recipeFolder: string;
  readonly lock: Lock;
  readonly cache: Cache;
  readonly store: Store;
  readonly toolsRoot: string;
  readonly imageRoot: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

const TOOL_TIMEOUT_MS = 1_200_000;

/** Runs a program of the locked tools root with `binds` mounted; returns its standard output. */
export async function runTool(
  context: BuildContext,
  argv: readonly string[],
  binds: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
  input?: string,
): Promise<string> {
  const result = await execInRoot({
    root: context.toolsRoot,
    binds,
    argv,
    env: {SOURCE_DATE_EPOCH: String(context.lock.epoch), ...env},
    timeoutMs: TOOL_TIMEOUT_MS,
    signal: context.signal,
    ...(input === undefined ? {} : {input}),
  });
  return result.stdout;
}
