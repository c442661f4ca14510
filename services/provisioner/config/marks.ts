/** Remembers where each object, list and field of a config stands in the operator's file. */
import {startOfFile, type Place} from './problem.ts';

/** The name under which an object's own place is kept. */
const SELF = '';

export interface Marks {
  set(owner: object, field: string | number, place: Place): void;
  setSelf(owner: object, place: Place): void;
  /** The place of a field (or list item), else of its owner, else the start of the file. */
  at(owner: object, field?: string | number): Place;
  /** Gives `to` the places of `from`, of which it is the translated form. */
  carry<To extends object>(from: object, to: To): To;
}

export function createMarks(): Marks {
  const places = new WeakMap<object, Map<string, Place>>();
  const of = (owner: object): Map<string, Place> => {
    const existing = places.get(owner);
    if (existing !== undefined) return existing;
    const fresh = new Map<string, Place>();
    places.set(owner, fresh);
    return fresh;
  };
  return {
    set: (owner, field, place) => void of(owner).set(String(field), place),
    setSelf: (owner, place) => void of(owner).set(SELF, place),
    at: (owner, field = SELF) => {
      const known = places.get(owner);
      return known?.get(String(field)) ?? known?.get(SELF) ?? startOfFile;
    },
    carry: (from, to) => {
      const target = of(to);
      for (const [field, place] of places.get(from) ?? []) if (!target.has(field)) target.set(field, place);
      return to;
    },
  };
}
