/**
 * Reads a source tree by a schema: every unknown field, wrong type, missing field and broken value is reported at
 * its place. What is wrong is left out or replaced by an empty value, so that the rest can still be checked.
 */
import {Type, type TArray, type TObject, type TSchema} from 'typebox';
import {laterFieldHint} from './later-fields.ts';
import type {Marks} from './marks.ts';
import {didYouMean, fieldName, type Naming} from './naming.ts';
import type {Place, Report} from './problem.ts';
import {checkRule} from './rules.ts';
import {booleanOf, integerOf, isNull, kindOf} from './scalars.ts';
import type {SourceMap, SourceNode, SourceScalar} from './source.ts';

export interface ReadContext {
  readonly report: Report;
  readonly marks: Marks;
  readonly naming: Naming;
  /** Minor version of the Ignition 3.x specification that the file follows. */
  readonly minor: number;
}

/** An annotation of schema.ts, or undefined. */
export function annotation(schema: TSchema, name: string): unknown {
  return Object.entries(schema).find(([key]) => key === name)?.[1];
}

/** The value of `node` in Ignition's names, fit for `schema`; undefined when it is absent or unusable. */
export function readNode(node: SourceNode, schema: TSchema, context: ReadContext): unknown {
  if (node.kind === 'scalar' && isNull(node)) return undefined;
  if (Type.IsObject(schema)) return readObject(node, schema, context);
  if (Type.IsArray(schema)) return readList(node, schema, context);
  if (node.kind !== 'scalar') {
    context.report.error(node.place, `expected ${typeName(schema)}, found ${kindOf(node)}`);
    return undefined;
  }
  return readScalar(node, schema, context);
}

function readObject(node: SourceNode, schema: TObject, context: ReadContext): object | undefined {
  if (node.kind !== 'map') {
    context.report.error(node.place, `expected a mapping, found ${kindOf(node)}`);
    return undefined;
  }
  const names = Object.keys(schema.properties);
  const byWrittenName = new Map(names.map(name => [fieldName(name, context.naming), name]));
  const result: Record<string, unknown> = {};
  context.marks.setSelf(result, node.place);
  for (const field of node.fields) {
    const name = byWrittenName.get(field.key);
    const fieldSchema = name === undefined ? undefined : schema.properties[name];
    if (name === undefined || fieldSchema === undefined) {
      const hint = laterFieldHint(field.key) ?? didYouMean(field.key, [...byWrittenName.keys()]);
      context.report.error(field.keyPlace, `unknown field "${field.key}"${hint}`);
      continue;
    }
    checkSince(fieldSchema, field.key, field.keyPlace, context);
    const value = readNode(field.value, fieldSchema, context);
    context.marks.set(result, name, field.value.place);
    if (value !== undefined) result[name] = value;
  }
  addMissing(result, node, schema, context);
  return result;
}

function addMissing(
  result: Record<string, unknown>,
  node: SourceMap,
  schema: TObject,
  context: ReadContext,
): void {
  for (const name of requiredNames(schema)) {
    if (result[name] !== undefined) continue;
    const fieldSchema = schema.properties[name];
    const written = fieldName(name, context.naming);
    const field = node.fields.find(candidate => candidate.key === written);
    if (field === undefined || (field.value.kind === 'scalar' && isNull(field.value))) {
      context.report.error(field?.keyPlace ?? node.place, `missing field "${written}"`);
    }
    if (fieldSchema !== undefined) result[name] = emptyValue(fieldSchema);
  }
}

/** TypeBox leaves `required` out where nothing is. */
function requiredNames(schema: TObject): string[] {
  const required = annotation(schema, 'required');
  return Array.isArray(required) ? required.filter(name => typeof name === 'string') : [];
}

function readList(node: SourceNode, schema: TArray, context: ReadContext): unknown[] | undefined {
  if (node.kind !== 'list') {
    context.report.error(node.place, `expected a list, found ${kindOf(node)}`);
    return undefined;
  }
  const result: unknown[] = [];
  context.marks.setSelf(result, node.place);
  for (const item of node.items) {
    if (item.kind === 'scalar' && isNull(item)) {
      context.report.error(item.place, 'empty list item');
      continue;
    }
    const value = readNode(item, schema.items, context);
    if (value === undefined) continue;
    context.marks.set(result, result.length, item.place);
    result.push(value);
  }
  return result;
}

function readScalar(node: SourceScalar, schema: TSchema, context: ReadContext): unknown {
  const strict = context.naming === 'camel';
  if (Type.IsBoolean(schema)) {
    const value = booleanOf(node, strict);
    if (value === undefined) wrongType(node, schema, context);
    return value;
  }
  if (Type.IsInteger(schema)) {
    const value = integerOf(node, strict);
    if (value === undefined) return wrongType(node, schema, context);
    return checkBounds(value, node.place, schema, context.report)
      ? ruled(value, node, schema, context)
      : undefined;
  }
  // Butane takes `version: 1.0.0` and `label: 7` as text; JSON must quote.
  if (strict && node.style === 'plain') return wrongType(node, schema, context);
  const choices = annotation(schema, 'choices');
  if (Array.isArray(choices) && !choices.includes(node.text)) {
    const known = choices.filter(choice => typeof choice === 'string' && choice !== '');
    context.report.error(
      node.place,
      `"${node.text}" is not possible here; use ${known.join(', ')}${didYouMean(node.text, known)}`,
    );
  }
  return ruled(node.text, node, schema, context);
}

function ruled<Value extends string | number>(
  value: Value,
  node: SourceScalar,
  schema: TSchema,
  context: ReadContext,
): Value {
  const rule = annotation(schema, 'rule');
  if (typeof rule === 'string') checkRule(rule, value, node.place, context);
  return value;
}

function wrongType(node: SourceScalar, schema: TSchema, context: ReadContext): undefined {
  const quoted = node.style !== 'plain' && !Type.IsString(schema) ? '; write it without quotes' : '';
  context.report.error(node.place, `expected ${typeName(schema)}, found ${kindOf(node)}${quoted}`);
}

function checkBounds(value: number, place: Place, schema: TSchema, report: Report): boolean {
  const minimum = annotation(schema, 'minimum');
  const maximum = annotation(schema, 'maximum');
  if (typeof minimum === 'number' && value < minimum) {
    report.error(place, `must be ${minimum} or more`);
    return false;
  }
  if (typeof maximum === 'number' && value > maximum) {
    report.error(place, `must be ${maximum} or less`);
    return false;
  }
  return true;
}

function checkSince(schema: TSchema, name: string, place: Place, context: ReadContext): void {
  const since = annotation(schema, 'since');
  if (typeof since !== 'number' || since <= context.minor) return;
  context.report.error(
    place,
    `"${name}" came with specification 3.${since}.0, and this config says 3.${context.minor}.0`,
  );
}

function emptyValue(schema: TSchema): unknown {
  if (Type.IsString(schema)) return '';
  if (Type.IsArray(schema)) return [];
  if (Type.IsObject(schema)) return {};
  return 0;
}

function typeName(schema: TSchema): string {
  if (Type.IsBoolean(schema)) return 'true or false';
  return Type.IsInteger(schema) ? 'a whole number' : 'text';
}
