/** Reads a recipe from disk and says at which line it is wrong. */
import {readFile} from 'node:fs/promises';
import {LineCounter, parseDocument} from 'yaml';
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
    throw new ImageError('recipe-invalid', `${path} does not exist`, {remedy: 'name the recipe with --recipe FILE', cause: error});
  }
  return parseRecipe(text, path);
}

/** The pure half of {@link loadRecipe}. */
export function parseRecipe(text: string, path: string): Recipe {
  const lines = new LineCounter();
  const document = parseDocument(text, {lineCounter: lines, uniqueKeys: true});
  const at = (offset: number) => {
    const {line, col} = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const syntax = document.errors[0];
  if (syntax !== undefined) {
    throw new ImageError('recipe-invalid', `${at(syntax.pos[0])}: ${syntax.message.split('\n')[0] ?? ''}`);
  }
  const value: unknown = document.toJS({maxAliasCount: 100});
  if (Value.Check(Recipe, value)) return value;
  const first = [...Value.Errors(Recipe, value)][0];
  const keys = (first?.instancePath ?? '').split('/').slice(1).map(key => (/^\d+$/.test(key) ? Number(key) : key));
  const node = keys.length === 0 ? document.contents : document.getIn(keys, true);
  const range = typeof node === 'object' && node !== null && 'range' in node ? (node.range as [number] | undefined) : undefined;
  const extra = first?.keyword === 'additionalProperties' ? `: ${first.params.additionalProperties.join(', ')}` : '';
  throw new ImageError('recipe-invalid', `${at(range?.[0] ?? 0)}: ${keys.join('.')} ${first?.message ?? 'is wrong'}${extra}`, {
    remedy: 'see image-build/README.md for the fields of a recipe',
  });
}
