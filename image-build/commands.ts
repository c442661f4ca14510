/** `hawser image …`: lock and build. */
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {flagBoolean, flagString, type Command, type CommandContext, type CommandInput, type Flag} from '../services/common/command.ts';
import {writeFileAtomic} from '../services/common/fs-atomic.ts';
import {parseJson} from '../services/common/parse.ts';
import {resolvePaths} from '../services/common/paths.ts';
import {withStep} from '../services/common/progress.ts';
import {buildWithLock} from './build-command.ts';
import {diffLocks, Lock, renderChanges, serializeLock} from './packages/lock.ts';
import {resolveLock} from './packages/resolve.ts';
import {loadRecipe} from './recipe/load.ts';
import {withBuildRights} from './user-namespace.ts';
import {loadLock, machineMirrors, recipePaths} from './workspace.ts';

const recipeFlags: readonly Flag[] = [
  {name: 'recipe', type: 'string', summary: 'recipe to use instead of the Hawser image\'s own'},
  {name: 'mirror', type: 'string', summary: 'Debian mirror, when not the one of this machine\'s apt', env: 'HAWSER_MIRROR'},
];

const lockCommand: Command = {
  name: 'image lock',
  summary: 'resolve the recipe to exact packages and write image.lock.json',
  usage: '[OLD NEW]',
  arguments: {min: 0, max: 2},
  flags: [
    ...recipeFlags,
    {name: 'diff', type: 'boolean', summary: 'only print what would change; with OLD and NEW, what differs between two lock files'},
  ],
  run: async (context, input) => {
    const [before, after] = input.args;
    if (before !== undefined && after !== undefined) return compareLocks(context, before, after);
    return lockRecipe(context, input);
  },
};

async function compareLocks(context: CommandContext, before: string, after: string): Promise<number> {
  const read = async (path: string) => parseJson(Lock, await readFile(join(context.cwd, path), 'utf8'), path);
  for (const line of renderChanges(diffLocks(await read(before), await read(after)))) context.print(line);
  return 0;
}

async function lockRecipe(context: CommandContext, input: CommandInput): Promise<number> {
  const paths = recipePaths(context, input);
  const recipe = await loadRecipe(paths.recipe);
  const mirrors = await machineMirrors(input);
  const epoch = Math.floor(Date.now() / 86_400_000) * 86_400;
  const old = await loadLock(paths.lock).catch(() => undefined);
  const fresh = await withStep(context.progress, 'resolving packages', () => resolveLock(recipe, mirrors, epoch, context.signal));
  const changes = old === undefined ? [] : diffLocks(old, fresh);
  for (const line of renderChanges(changes)) context.print(line);
  if (flagBoolean(input.flags, 'diff')) return 0;
  if (old !== undefined && changes.length === 0 && old.request === fresh.request) {
    context.print('the lock is up to date');
    return 0;
  }
  await writeFileAtomic(paths.lock, serializeLock(fresh), 0o644);
  context.print(`wrote ${paths.lock}: ${fresh.image.length} packages in the image, ${fresh.tools.length} in its tools`);
  return 0;
}

const buildCommand: Command = {
  name: 'image build',
  summary: 'build the image from its lock',
  arguments: {min: 0, max: 0},
  flags: [
    ...recipeFlags,
    {name: 'version', type: 'string', summary: 'version of the image instead of the recipe\'s'},
    {name: 'keys', type: 'string', summary: 'folder of signing keys (default: those of "hawser keys init", when there)'},
    {name: 'unsigned', type: 'boolean', summary: 'do not sign, even when there are keys'},
    {name: 'if-changed', type: 'boolean', summary: 'do nothing when the current image was built from the same inputs'},
    {name: 'refresh', type: 'boolean', summary: 'when locked packages are gone from the archive, resolve anew and mark the image as not locked'},
  ],
  run: async (context, input) => {
    const paths = recipePaths(context, input);
    const {home, cache} = resolvePaths(context.env);
    const recipe = await loadRecipe(paths.recipe);
    const built = await buildWithLock(context, {
      recipe,
      recipeFolder: paths.folder,
      lock: await loadLock(paths.lock),
      mirrors: await machineMirrors(input),
      version: flagString(input.flags, 'version') ?? recipe.version,
      home,
      cache,
      keys: flagString(input.flags, 'keys'),
      unsigned: flagBoolean(input.flags, 'unsigned'),
      refresh: flagBoolean(input.flags, 'refresh'),
      ifChanged: flagBoolean(input.flags, 'if-changed'),
    });
    context.print(built.upToDate ? `up to date: ${built.folder}` : built.folder);
    return 0;
  },
};

export const imageCommands: readonly Command[] = [lockCommand, withBuildRights(buildCommand)];
