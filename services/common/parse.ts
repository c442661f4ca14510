/** The edge: turns unknown JSON into typed values by a TypeBox schema, and says exactly what does not fit. */
import type {Static, TSchema} from 'typebox';
import {Value} from 'typebox/value';
import {HawserError} from './errors.ts';

export class ParseError extends HawserError<'not-json' | 'does-not-fit'> {}

/** Checks `value` against `schema`; `what` names the source in the message. Throws {@link ParseError}. */
export function parseValue<Schema extends TSchema>(
  schema: Schema,
  value: unknown,
  what: string,
): Static<Schema> {
  if (Value.Check(schema, value)) return value;
  const first = [...Value.Errors(schema, value)][0];
  const where = first === undefined || first.instancePath === '' ? '' : ` at ${first.instancePath}`;
  throw new ParseError('does-not-fit', `${what} is not valid${where}: ${first?.message ?? 'wrong shape'}`);
}

/** Parses JSON text and checks it, as {@link parseValue} does. */
export function parseJson<Schema extends TSchema>(
  schema: Schema,
  text: string,
  what: string,
): Static<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ParseError('not-json', `${what} is not JSON`, {cause: error});
  }
  return parseValue(schema, value, what);
}
