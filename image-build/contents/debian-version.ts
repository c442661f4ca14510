/** Debian package versions: `[epoch:]upstream[-revision]`, compared as dpkg does (deb-version(7)). */
import {ContentsError} from './errors.ts';

export interface DebianVersion {
  /** Decimal digits; `0` when the version names none. */
  readonly epoch: string;
  readonly upstream: string;
  /** Empty when there is none, which compares like `0`. */
  readonly revision: string;
}

/** Splits a version. Throws {@link ContentsError} `bad-debian-version` where dpkg would refuse or warn about a character. */
export function parseDebianVersion(text: string): DebianVersion {
  const colon = text.indexOf(':');
  const epoch = colon === -1 ? '0' : text.slice(0, colon);
  const rest = text.slice(colon + 1);
  const dash = rest.lastIndexOf('-');
  const upstream = dash === -1 ? rest : rest.slice(0, dash);
  const revision = dash === -1 ? '' : rest.slice(dash + 1);
  const valid =
    /^\d+$/.test(epoch) &&
    /^[A-Za-z0-9.+~:-]+$/.test(upstream) &&
    (dash === -1 ? revision === '' : /^[A-Za-z0-9.+~]+$/.test(revision));
  if (!valid) {
    throw new ContentsError('bad-debian-version', `"${text.slice(0, 80)}" is not a Debian package version`);
  }
  return {epoch, upstream, revision};
}

/** Negative, 0 or positive as `a` is older than, equal to or newer than `b`. Throws as {@link parseDebianVersion}. */
export function compareDebianVersions(a: string, b: string): number {
  const left = parseDebianVersion(a);
  const right = parseDebianVersion(b);
  return (
    compareNumbers(left.epoch, right.epoch) ||
    compareParts(left.upstream, right.upstream) ||
    compareParts(left.revision, right.revision)
  );
}

export type Relation = '<<' | '<=' | '=' | '>=' | '>>';

const HOLDS: Readonly<Record<Relation, (order: number) => boolean>> = {
  '<<': order => order < 0,
  '<=': order => order <= 0,
  '=': order => order === 0,
  '>=': order => order >= 0,
  '>>': order => order > 0,
};

/** Whether `version` stands in `relation` to `bound`, for instance `1.2` `>=` `1.1`. */
export function versionSatisfies(version: string, relation: Relation, bound: string): boolean {
  return HOLDS[relation](compareDebianVersions(version, bound));
}

// deb-version(7): runs of non-digits and of digits alternate; `~` sorts before the end, letters before the rest.
function compareParts(a: string, b: string): number {
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    while ((i < a.length && !isDigit(a, i)) || (j < b.length && !isDigit(b, j))) {
      const difference = weight(a, i) - weight(b, j);
      if (difference !== 0) return difference;
      i += 1;
      j += 1;
    }
    const startA = i;
    const startB = j;
    while (i < a.length && isDigit(a, i)) i += 1;
    while (j < b.length && isDigit(b, j)) j += 1;
    const difference = compareNumbers(a.slice(startA, i), b.slice(startB, j));
    if (difference !== 0) return difference;
  }
  return 0;
}

// Of any length, so neither Number nor a fixed-size integer will do.
function compareNumbers(a: string, b: string): number {
  const left = a.replace(/^0+/, '');
  const right = b.replace(/^0+/, '');
  if (left.length !== right.length) return left.length - right.length;
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function isDigit(text: string, index: number): boolean {
  const code = text.charCodeAt(index);
  return code >= 48 && code <= 57;
}

function weight(text: string, index: number): number {
  if (index >= text.length || isDigit(text, index)) return 0;
  const code = text.charCodeAt(index);
  if (code === 126) return -1;
  const isLetter = (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
  return isLetter ? code : code + 256;
}
