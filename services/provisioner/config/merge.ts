/**
 * Ignition's merge of two configs: fields of the child win, objects merge field by field, list items merge by key.
 * Where the child has a file, directory or link at a path at which the parent has another kind, the child's stays.
 */
import {Type, type TArray, type TObject, type TSchema} from 'typebox';
import {parseValue} from '../../common/parse.ts';
import {IgnitionConfig} from './ignition-schema.ts';
import {fieldOf, isConcatenated, itemKey, keyGroup, listFields} from './keys.ts';
import {annotation} from './read.ts';

/** The config that Ignition would make of `parent` with `child` merged into it. */
export function mergeConfigs(parent: IgnitionConfig, child: IgnitionConfig): IgnitionConfig {
  return parseValue(IgnitionConfig, mergeObjects(IgnitionConfig, parent, child), 'the merged config');
}

function mergeObjects(schema: TObject, parent: unknown, child: unknown): object {
  const childKeys = keysOfChild(schema, child);
  const result: Record<string, unknown> = {};
  for (const [name, fieldSchema] of Object.entries(schema.properties)) {
    const merged = mergeField(name, fieldSchema, fieldOf(parent, name), fieldOf(child, name), childKeys);
    if (merged !== undefined) result[name] = merged;
  }
  return result;
}

function mergeField(
  name: string,
  schema: TSchema,
  parent: unknown,
  child: unknown,
  childKeys: ChildKeys,
): unknown {
  if (Type.IsArray(schema)) return mergeLists(name, schema, asList(parent), asList(child), childKeys);
  if (child === undefined) return parent;
  if (parent === undefined || !Type.IsObject(schema)) return child;
  return mergeObjects(schema, parent, child);
}

/** For each group of lists, in which list of the child a key stands. */
type ChildKeys = ReadonlyMap<string, ReadonlyMap<string, {list: string; item: unknown}>>;

function keysOfChild(schema: TObject, child: unknown): ChildKeys {
  const groups = new Map<string, Map<string, {list: string; item: unknown}>>();
  for (const [name, list] of listFields(schema.properties)) {
    if (isConcatenated(list)) continue;
    const group = keyGroup(list, name);
    const keys = groups.get(group) ?? new Map<string, {list: string; item: unknown}>();
    groups.set(group, keys);
    for (const item of asList(fieldOf(child, name)) ?? []) keys.set(itemKey(list, item), {list: name, item});
  }
  return groups;
}

function mergeLists(
  name: string,
  schema: TArray,
  parent: readonly unknown[] | undefined,
  child: readonly unknown[] | undefined,
  childKeys: ChildKeys,
): unknown[] | undefined {
  if (parent === undefined && child === undefined) return undefined;
  const before = parent ?? [];
  const after = child ?? [];
  if (isConcatenated(schema)) return [...before, ...after];
  const keys = childKeys.get(keyGroup(schema, name));
  const result: unknown[] = [];
  for (const item of before) {
    const match = keys?.get(itemKey(schema, item));
    if (match === undefined) result.push(item);
    else if (match.list === name && !deletes(schema, match.item))
      result.push(mergeItems(schema.items, item, match.item));
  }
  const known = new Set(before.map(item => itemKey(schema, item)));
  return [...result, ...after.filter(item => !known.has(itemKey(schema, item)))];
}

function mergeItems(schema: TSchema, parent: unknown, child: unknown): unknown {
  return Type.IsObject(schema) ? mergeObjects(schema, parent, child) : child;
}

/** An HTTP header without a value takes the parent's header away. */
function deletes(list: TArray, item: unknown): boolean {
  const field = annotation(list, 'deletes');
  return typeof field === 'string' && fieldOf(item, field) === undefined;
}

function asList(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) ? value : undefined;
}
