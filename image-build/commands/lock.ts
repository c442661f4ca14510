/** `hawser image lock`: resolves the recipe, or compares locks. */
import {readFile} from 'node:fs/promises';
import {resolve} from 'node:path';
import {
  flagBoolean,
  type Command,
  type CommandContext,
  type CommandInput,
} from '../../services/common/command.ts';
import {writeFileAtomic} from '../../services/common/fs-atomic.ts';
import {parseJson} from '../../services/common/parse.ts';
import {withStep} from '../../services/common/progress.ts';
import {diffLocks, Lock, renderChanges, serializeLock} from '../packages/lock.ts';
import {resolveLock} from '../packages/resolve.ts';
import {loadLock, machineMirrors, recipePaths} from '../workspace.ts';
import {loadRecipeWithSuites, recipeFlags, suitesFlags} from './flags.ts';

export const lockCommand: Command = {
  name: 'image lock',
  summary: 'resolve the recipe to exact packages and write image.lock.json',
  usage: '[OLD NEW]',
  arguments: {min: 0, max: 2},
  flags: [
    ...recipeFlags,
    ...suitesFlags,
    {
      name: 'diff',
      type: 'boolean',
      summary: 'only print what would change; with OLD and NEW, what differs between two lock files',
    },
  ],
  run: async (context, input) => {
    const [before, after] = input.args;
    if (before !== undefined && after !== undefined) return compareLocks(context, before, after);
    return lockRecipe(context, input);
  },
};

async function compareLocks(context: CommandContext, before: string, after: string): Promise<number> {
  const read = async (path: string) =>
    parseJson(Lock, await readFile(resolve(context.cwd, path), 'utf8'), path);
  for (const line of renderChanges(diffLocks(await read(before), await read(after)))) context.print(line);
  return 0;
}

async function lockRecipe(context: CommandContext, input: CommandInput): Promise<number> {
  const paths = recipePaths(context, input);
  const recipe = await loadRecipeWithSuites(paths.recipe, input);
  const mirrors = await machineMirrors(input);
  const epoch = Math.floor(Date.now() / 86_400_000) * 86_400;
  const old = await loadLock(paths.lock).catch(() => undefined);
  const fresh = await withStep(context.progress, 'resolving packages', () =>
    resolveLock(recipe, mirrors, epoch, context.signal),
  );
  const changes = old === undefined ? [] : diffLocks(old, fresh);
  for (const line of renderChanges(changes)) context.print(line);
  if (flagBoolean(input.flags, 'diff')) return 0;
  if (old !== undefined && changes.length === 0 && old.request === fresh.request) {
    context.print('the lock is up to date');
    return 0;
  }
  await writeFileAtomic(paths.lock, serializeLock(fresh), 0o644);
  context.print(
    `wrote ${paths.lock}: ${fresh.image.length} packages in the image, ${fresh.tools.length} in its tools`,
  );
  return 0;
}
