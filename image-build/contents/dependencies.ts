/** Relationship fields of Debian packages (Policy 7.1): Depends, Pre-Depends, Provides and their like. */
import type {Relation} from './debian-version.ts';
import {parseDebianVersion} from './debian-version.ts';
import {ContentsError} from './errors.ts';

export interface Dependency {
  readonly name: string;
  /** `any`, or the architecture after the colon of `name:arch`. */
  readonly qualifier?: string;
  readonly version?: {readonly relation: Relation; readonly bound: string};
  /** Build dependencies only: `[amd64 !i386]` as a list. */
  readonly architectures?: readonly string[];
  /** Build dependencies only: the texts between `<` and `>`. */
  readonly profiles?: readonly string[];
}

/** One condition: any of the alternatives fulfils it. */
export type DependencyGroup = readonly Dependency[];

// Policy 7.1: `<` and `>` are the old spellings of `<=` and `>=`.
const RELATIONS: Readonly<Record<string, Relation>> = {
  '<<': '<<',
  '<=': '<=',
  '=': '=',
  '>=': '>=',
  '>>': '>>',
  '<': '<=',
  '>': '>=',
};

const DEPENDENCY =
  /^(?<name>[A-Za-z0-9][A-Za-z0-9+.-]*)(?::(?<qualifier>[a-z0-9-]+))?\s*(?:\(\s*(?<relation><<|<=|=|>=|>>|<|>)\s*(?<bound>[^\s()<>=]+)\s*\))?\s*(?:\[(?<architectures>[^\]]*)\])?\s*(?<profiles>(?:<[^>]*>\s*)*)$/;

/**
 * The conditions of a field, all of which must hold; an empty field has none.
 * Throws {@link ContentsError} `bad-dependency` (or `bad-debian-version`) naming the part that cannot be read.
 */
export function parseDependencies(field: string): DependencyGroup[] {
  return field
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== '') // a trailing comma is allowed in control files
    .map(part => part.split('|').map(parseDependency));
}

function parseDependency(text: string): Dependency {
  const groups = DEPENDENCY.exec(text.trim())?.groups;
  const name = groups?.['name'];
  if (groups === undefined || name === undefined) {
    throw new ContentsError('bad-dependency', `"${text.trim().slice(0, 80)}" is not a package relationship`);
  }
  const relation = RELATIONS[groups['relation'] ?? ''];
  const bound = groups['bound'];
  if (bound !== undefined) parseDebianVersion(bound);
  const architectures = words(groups['architectures'] ?? '');
  const profiles = [...(groups['profiles'] ?? '').matchAll(/<([^>]*)>/g)].map(match =>
    (match[1] ?? '').trim(),
  );
  const qualifier = groups['qualifier'];
  return {
    name,
    ...(qualifier === undefined ? {} : {qualifier}),
    ...(relation === undefined || bound === undefined ? {} : {version: {relation, bound}}),
    ...(architectures.length === 0 ? {} : {architectures}),
    ...(profiles.length === 0 ? {} : {profiles}),
  };
}

function words(text: string): string[] {
  return text.split(/\s+/).filter(word => word !== '');
}
