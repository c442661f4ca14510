/** Reads a recipe from disk and says at which line it is wrong. */
import {readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {isMap, isNode, isScalar, LineCounter, parseDocument, type Document} from 'yaml';
import {Value} from 'typebox/value';
import {systemErrorCode} from '../../services/common/errors.ts';
import {ImageError} from '../errors.ts';
import {Recipe} from './recipe.ts';

/** Throws {@link ImageError} `recipe-invalid` with `file:line:column` of the first problem. */
export async function loadRecipe(path: string): Promise<Recipe> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new ImageError('recipe-invalid', `${path} does not exist`, {
      remedy: 'name the recipe with --recipe FILE',
      cause: error,
    });
  }
  return parseRecipe(text, path);
}

/** Throws {@link ImageError} `recipe-invalid` when what belongs beside a recipe is not in `folder`. */
export async function checkRecipeFolder(recipe: Recipe, folder: string): Promise<void> {
  for (const name of [recipe.build.modules, 'initrd/contents.list']) {
    if ((await stat(join(folder, name)).catch(() => undefined))?.isFile()) continue;
    throw new ImageError('recipe-invalid', `there is no ${name} beside the recipe, in ${folder}`, {
      remedy: 'copy it from image-build/, and change there what your image needs',
    });
  }
}

/** The pure half of {@link loadRecipe}. */
export function parseRecipe(text: string, path: string): Recipe {
  const lines = new LineCounter();
  const document = parseDocument(text, {lineCounter: lines, uniqueKeys: true});
  const syntax = document.errors[0];
  if (syntax !== undefined) {
    // The parser's own "at line 5, column 1:" would be said twice.
    const [reason = ''] = syntax.message.split(/ at line \d+, column \d+/);
    throw invalid(`${position(path, lines, syntax.pos[0])}: ${reason}`, syntax);
  }
  const value: unknown = document.toJS({maxAliasCount: 100});
  const refuse = ({keys, text}: Problem) =>
    invalid(`${position(path, lines, offsetOf(document, keys))}: ${[keys.join('.'), text].join(' ').trim()}`);
  if (!Value.Check(Recipe, value)) throw refuse(firstProblem(value));
  const problem = sysextProblem(value);
  if (problem !== undefined) throw refuse(problem);
  return value;
}

interface Problem {
  /** Where in the recipe: field names and list positions. */
  readonly keys: readonly (string | number)[];
  readonly text: string;
}

/** What no schema says: names are not used twice, and an extension holds something. */
function sysextProblem({sysexts = []}: Recipe): Problem | undefined {
  for (const [index, {name, packages = [], files = []}] of sysexts.entries()) {
    const keys = ['sysexts', index, 'name'];
    if (sysexts.findIndex(other => other.name === name) < index)
      return {keys, text: `${name} is the name of another extension`};
    if (packages.length + files.length === 0) return {keys, text: `${name} has neither packages nor files`};
  }
  return undefined;
}

function firstProblem(value: unknown): Problem {
  const errors = [...Value.Errors(Recipe, value)];
  // An unknown field is reported twice: as itself (a false schema) and by the object that does not allow it.
  const first = errors.find(error => error.keyword !== 'anyOf') ?? errors[0];
  const keys = (first?.instancePath ?? '')
    .split('/')
    .slice(1)
    .map(key => key.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map(key => (/^\d+$/.test(key) ? Number(key) : key));
  if (first?.keyword === 'boolean') return {keys, text: 'is not a field that a recipe has here'};
  if (first?.keyword === 'additionalProperties') {
    return {keys, text: `has fields that no recipe has: ${first.params.additionalProperties.join(', ')}`};
  }
  return {keys, text: first?.message ?? 'is wrong'};
}

/** Where the named field starts; for one that holds no value of its own, where what encloses it does. */
function offsetOf(document: Document.Parsed, keys: readonly (string | number)[]): number {
  const parent = keys.length < 2 ? document.contents : document.getIn(keys.slice(0, -1), true);
  const name = keys.at(-1);
  if (isMap(parent)) {
    const pair = parent.items.find(({key}) => isScalar(key) && String(key.value) === String(name));
    if (isScalar(pair?.key)) return pair.key.range?.[0] ?? 0;
  }
  const node = keys.length === 0 ? document.contents : document.getIn(keys, true);
  return isNode(node) ? (node.range?.[0] ?? 0) : 0;
}

function position(path: string, lines: LineCounter, offset: number): string {
  const {line, col} = lines.linePos(offset);
  return `${path}:${line}:${col}`;
}

function invalid(text: string, cause?: unknown): ImageError {
  return new ImageError('recipe-invalid', text, {
    remedy: 'see image-build/recipe/README.md for the fields of a recipe',
    cause,
  });
}
