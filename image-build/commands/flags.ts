/** Flags that several commands of this part share. */
import {flagString, UsageError} from '../../services/common/command.ts';
import type {CommandInput, Flag} from '../../services/common/command.ts';
import {loadRecipe} from '../recipe/load.ts';
import type {Recipe} from '../recipe/recipe.ts';

export const recipeFlags: readonly Flag[] = [
  {name: 'recipe', type: 'string', summary: "recipe to use instead of the Hawser image's own"},
  {
    name: 'mirror',
    type: 'string',
    summary: "Debian mirror, when not the one of this machine's apt",
    env: 'HAWSER_MIRROR',
  },
];

export const outputFlag: Flag = {
  name: 'output',
  short: 'o',
  type: 'string',
  summary: 'text or json',
  default: 'text',
};

/** For an image of other suites than the recipe's: the same recipe, and a lock of its own, so that none is overwritten. */
export const suitesFlags: readonly Flag[] = [
  {
    name: 'suites',
    type: 'string',
    summary: "Debian suites instead of the recipe's, for instance trixie,trixie-security; needs --lock",
  },
  {name: 'lock', type: 'string', summary: 'lock file, when not the one beside the recipe'},
];

const SUITE = /^[A-Za-z0-9][A-Za-z0-9./-]*$/;

/** The recipe at `path` with the suites of `--suites`. */
export async function loadRecipeWithSuites(path: string, {flags}: CommandInput): Promise<Recipe> {
  const text = flagString(flags, 'suites');
  if (text === undefined) return loadRecipe(path);
  const suites = text.split(',').map(suite => suite.trim());
  if (!suites.every(suite => SUITE.test(suite)))
    throw new UsageError('bad-value', `--suites is "${text}"`, {
      remedy: 'give names with commas between, for instance trixie,trixie-security',
    });
  if (flagString(flags, 'lock') === undefined)
    throw new UsageError('missing-argument', '--suites needs a lock of its own', {
      remedy: 'add --lock FILE',
    });
  const recipe = await loadRecipe(path);
  const {sources} = recipe;
  return {...recipe, sources: {...sources, debian: {...sources.debian, suites}}};
}
