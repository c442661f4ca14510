/** Things that a config names twice: paths, units, users, devices, partition numbers and labels, SSH keys, ... */
import {Type, type TObject, type TSchema} from 'typebox';
import {written, type CheckContext} from './check-context.ts';
import {fieldOf, isConcatenated, itemKey, keyGroup, listFields} from './keys.ts';
import type {Place} from './problem.ts';
import {annotation} from './read.ts';

/** Reports every list item whose key an earlier item of the same group has, anywhere in `value`. */
export function checkDuplicates(schema: TSchema, value: unknown, context: CheckContext): void {
  if (Type.IsArray(schema) && Array.isArray(value)) {
    for (const item of value) checkDuplicates(schema.items, item, context);
  } else if (Type.IsObject(schema) && typeof value === 'object' && value !== null) {
    checkObject(schema, value, context);
  }
}

interface Named {
  readonly place: Place;
  readonly description: string;
}

function checkObject(schema: TObject, owner: object, context: CheckContext): void {
  const groups = new Map<string, Named[]>();
  for (const [name, list] of listFields(schema.properties)) {
    const items = fieldOf(owner, name);
    if (isConcatenated(list) || !Array.isArray(items)) continue;
    for (const [index, item] of items.entries()) {
      const key = itemKey(list, item);
      // Without a key, something required is missing, which has been reported.
      if (key === '') continue;
      const [holder, field] = keyPlace(items, index, item, annotation(list, 'key'));
      const groupKey = `${keyGroup(list, name)}:${key}`;
      const same = groups.get(groupKey) ?? [];
      same.push({place: context.marks.at(holder, field), description: describe(list, name, key, context)});
      groups.set(groupKey, same);
    }
  }
  for (const same of groups.values()) reportAllButFirst(same, context);
  for (const [name, field] of Object.entries(schema.properties)) {
    checkDuplicates(field, fieldOf(owner, name), context);
  }
}

function reportAllButFirst(same: Named[], context: CheckContext): void {
  const [first, ...others] = same.sort(
    (a, b) => a.place.line - b.place.line || a.place.column - b.place.column,
  );
  for (const {place, description} of others) {
    context.report.error(
      place,
      `duplicate ${description}, already on line ${first?.place.line ?? place.line}`,
    );
  }
}

/** The object and field where the key itself is written. */
function keyPlace(
  items: object,
  index: number,
  item: unknown,
  key: unknown,
): [object, string | number | undefined] {
  if (typeof item !== 'object' || item === null) return [items, index];
  if (key === 'partition') return [item, fieldOf(item, 'number') === undefined ? 'label' : 'number'];
  return [item, typeof key === 'string' ? key : undefined];
}

function describe(list: TSchema, name: string, key: string, context: CheckContext): string {
  const field = annotation(list, 'key');
  const shown = key.length > 60 ? `${key.slice(0, 60)}...` : key;
  if (field === 'partition')
    return `partition ${shown.replace(/^label:(.*)$/su, 'label "$1"').replace(':', ' ')}`;
  return typeof field === 'string'
    ? `${written(context, field)} "${shown}"`
    : `item "${shown}" in ${written(context, name)}`;
}
