/** Which list items are the same thing to Ignition: the rule of both the duplicate check and the merge. */
import {Type, type TArray, type TSchema} from 'typebox';
import {annotation} from './read.ts';

/** The key of a list item: the text itself, the field that the schema names, or a partition's number or label. */
export function itemKey(list: TArray, item: unknown): string {
  if (typeof item === 'string') return item;
  const key = annotation(list, 'key');
  if (key === 'partition') return partitionKey(item);
  return typeof key === 'string' ? textField(item, key) : '';
}

/** Lists with the same group share one name space (files, directories and links). */
export function keyGroup(list: TSchema, name: string): string {
  const group = annotation(list, 'group');
  return typeof group === 'string' ? group : name;
}

/** Whether the list may repeat itself, and merges by appending. */
export function isConcatenated(list: TSchema): boolean {
  return annotation(list, 'concat') === true;
}

/** The lists among the fields of an object, in the schema's order. */
export function listFields(properties: Readonly<Record<string, TSchema>>): [string, TArray][] {
  return Object.entries(properties).flatMap(([name, schema]): [string, TArray][] =>
    Type.IsArray(schema) ? [[name, schema]] : [],
  );
}

/** A field of an object whose shape is known only from its schema. */
export function fieldOf(owner: unknown, name: string): unknown {
  if (typeof owner !== 'object' || owner === null) return undefined;
  return Object.hasOwn(owner, name) ? Reflect.get(owner, name) : undefined;
}

function partitionKey(partition: unknown): string {
  const number = fieldOf(partition, 'number');
  if (typeof number === 'number' && number !== 0) return `number:${number}`;
  const label = fieldOf(partition, 'label');
  return typeof label === 'string' ? `label:${label}` : '';
}

function textField(item: unknown, name: string): string {
  const value = fieldOf(item, name);
  return typeof value === 'string' ? value : '';
}
