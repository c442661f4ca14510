/** Field names: Butane's snake_case against Ignition's camelCase, and the guess at what a wrong name meant. */

export type Naming = 'snake' | 'camel';

/** `sizeMiB` becomes `size_mib`, as Butane writes it. */
export function snakeCase(name: string): string {
  return name.replaceAll(/MiB|[A-Z]/gu, part => `_${part}`).toLowerCase();
}

export function fieldName(name: string, naming: Naming): string {
  return naming === 'snake' ? snakeCase(name) : name;
}

/** The known name that `name` was most likely meant to be: a few keystrokes away, or the other spelling of it. */
export function suggest(name: string, known: readonly string[]): string | undefined {
  const wanted = normalise(name);
  const allowed = Math.max(1, Math.floor(wanted.length / 3));
  let best: string | undefined;
  let bestDistance = allowed + 1;
  for (const candidate of known) {
    const distance = editDistance(wanted, normalise(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** ` (did you mean "hostname"?)`, or nothing. */
export function didYouMean(name: string, known: readonly string[]): string {
  const guess = suggest(name, known);
  return guess === undefined ? '' : ` (did you mean "${guess}"?)`;
}

function normalise(name: string): string {
  return name.slice(0, 64).toLowerCase().replaceAll(/[_-]/gu, '');
}

/** Damerau-Levenshtein without repeated edits: a swap of two neighbours counts as one. */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({length: b.length + 1}, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let value = Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        value = Math.min(value, (beforePrevious[j - 2] ?? 0) + 1);
      }
      current.push(value);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] ?? 0;
}
