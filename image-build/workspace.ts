/** Where the commands of this part find things, and how they get the rights that a build needs. */
import {readdir, readFile} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {flagString, type CommandContext, type CommandInput} from '../services/common/command.ts';
import {systemErrorCode} from '../services/common/errors.ts';
import {parseJson, ParseError} from '../services/common/parse.ts';
import {ImageError} from './errors.ts';
import {readAptSources} from './packages/apt.ts';
import {Lock} from './packages/lock.ts';
import {findMirrors, type Mirrors} from './packages/mirrors.ts';

const here = dirname(fileURLToPath(import.meta.url));

/** The checkout: agents are bundled from its `services/`. */
export const sourcesFolder = dirname(here);

/** What an image may cost. */
export const budgetFile = join(here, 'budget.json');

export interface RecipePaths {
  readonly recipe: string;
  readonly folder: string;
  readonly lock: string;
}

/** `--recipe FILE`, or the recipe of the Hawser image; the lock lies beside it unless `--lock FILE` says otherwise. */
export function recipePaths(context: CommandContext, input: CommandInput): RecipePaths {
  const named = flagString(input.flags, 'recipe');
  const recipe = named === undefined ? join(here, 'recipe.yaml') : resolve(context.cwd, named);
  const lock = flagString(input.flags, 'lock');
  return {
    recipe,
    folder: dirname(recipe),
    lock: lock === undefined ? join(dirname(recipe), 'image.lock.json') : resolve(context.cwd, lock),
  };
}

/** Throws `lock-invalid` when the file is absent or damaged. */
export async function loadLock(path: string): Promise<Lock> {
  try {
    return parseJson(Lock, await readFile(path, 'utf8'), path);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT' && !(error instanceof ParseError)) throw error;
    throw new ImageError(
      'lock-invalid',
      error instanceof ParseError ? error.message : `${path} does not exist`,
      {
        remedy: 'run "hawser image lock"',
        cause: error,
      },
    );
  }
}

/** `--mirror URL`, else what this machine's apt uses. */
export async function machineMirrors(input: CommandInput): Promise<Mirrors> {
  const parts = await readdir('/etc/apt/sources.list.d').catch(() => []);
  const paths = ['/etc/apt/sources.list', ...parts.map(name => join('/etc/apt/sources.list.d', name))];
  return findMirrors(await readAptSources(paths), flagString(input.flags, 'mirror'));
}
