/** The lock: every byte that an image is made of, by name and SHA-256. Pure; committed as image.lock.json. */
import {Type, type Static} from 'typebox';

const closed = {additionalProperties: false};

export const LockedPackage = Type.Object(
  {
    /** Policy 5.6.1, 5.6.12 and 5.6.8: names, versions and paths become file names and arguments of apt. */
    name: Type.String({pattern: '^[a-z0-9][a-z0-9+.-]+$'}),
    version: Type.String({pattern: '^[0-9][0-9A-Za-z.+:~-]*$'}),
    architecture: Type.String({pattern: '^[a-z0-9-]+$'}),
    /** Which archive it came from: a mirror of either may serve it. */
    archive: Type.Union([Type.Literal('debian'), Type.Literal('debian-security')]),
    /** Path below the archive's root. */
    path: Type.String({pattern: '^(?!\\.\\.?/)[^/]+(/(?!\\.\\.?/)[^/]+)*$'}),
    sha256: Type.String({pattern: '^[0-9a-f]{64}$'}),
    size: Type.Integer({minimum: 1}),
    source: Type.Optional(Type.String()),
    sourceVersion: Type.Optional(Type.String()),
  },
  closed,
);
export type LockedPackage = Static<typeof LockedPackage>;

export const LockedTarball = Type.Object(
  {
    name: Type.String({pattern: '^(@[a-z0-9._~-]+/)?[a-z0-9._~-]+$'}),
    version: Type.String({pattern: '^\\d+\\.\\d+\\.\\d+'}),
    integrity: Type.String({pattern: '^sha512-[A-Za-z0-9+/]{86}==$'}),
  },
  closed,
);
export type LockedTarball = Static<typeof LockedTarball>;

export const Lock = Type.Object(
  {
    schema: Type.Literal(1),
    /** SHA-256 of the recipe's parts that decide the package set: a lock fits one such request. */
    request: Type.String({pattern: '^[0-9a-f]{64}$'}),
    /** SOURCE_DATE_EPOCH of every step, seconds. */
    epoch: Type.Integer({minimum: 1}),
    /** Seed of every UUID in the image. */
    seed: Type.String({pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'}),
    tools: Type.Array(LockedPackage),
    image: Type.Array(LockedPackage),
    kernel: Type.Array(LockedPackage, {minItems: 1, maxItems: 1}),
    npm: Type.Array(LockedTarball),
    /** By system extension: what it needs beyond the image's packages. Absent when the recipe has none. */
    sysexts: Type.Optional(
      Type.Record(Type.String({pattern: '^[a-z][a-z0-9-]*$'}), Type.Array(LockedPackage), closed),
    ),
  },
  closed,
);
export type Lock = Static<typeof Lock>;

/** The three sets of Debian packages of a lock, as named in it. */
export const packageSets = ['tools', 'image', 'kernel'] as const;
export type PackageSet = (typeof packageSets)[number];

export interface PackageChange {
  readonly set: PackageSet | 'npm' | `sysext ${string}`;
  readonly name: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** What changed between two locks, by set and name; a changed hash under one version counts too. */
export function diffLocks(before: Lock, after: Lock): PackageChange[] {
  const changes: PackageChange[] = [];
  for (const set of packageSets)
    changes.push(...diffSet(set, before[set].map(debianIdentity), after[set].map(debianIdentity)));
  changes.push(...diffSet('npm', before.npm.map(npmIdentity), after.npm.map(npmIdentity)));
  for (const name of new Set([...Object.keys(before.sysexts ?? {}), ...Object.keys(after.sysexts ?? {})])) {
    const [old, fresh] = [before.sysexts?.[name] ?? [], after.sysexts?.[name] ?? []];
    changes.push(...diffSet(`sysext ${name}`, old.map(debianIdentity), fresh.map(debianIdentity)));
  }
  return changes;
}

/** Every Debian package that a build of this lock unpacks or installs; several sets may name the same one. */
export function lockedPackages(lock: Lock): LockedPackage[] {
  return [...lock.tools, ...lock.image, ...lock.kernel, ...Object.values(lock.sysexts ?? {}).flat()];
}

interface Identity {
  readonly name: string;
  readonly version: string;
  readonly digest: string;
}

function debianIdentity(entry: LockedPackage): Identity {
  return {name: entry.name, version: entry.version, digest: entry.sha256};
}

function npmIdentity(entry: LockedTarball): Identity {
  return {name: entry.name, version: entry.version, digest: entry.integrity};
}

function diffSet(
  set: PackageChange['set'],
  before: readonly Identity[],
  after: readonly Identity[],
): PackageChange[] {
  const old = new Map(before.map(entry => [entry.name, entry]));
  const fresh = new Map(after.map(entry => [entry.name, entry]));
  const names = [...new Set([...old.keys(), ...fresh.keys()])].sort();
  return names.flatMap(name => {
    const from = old.get(name);
    const to = fresh.get(name);
    if (from?.version === to?.version && from?.digest === to?.digest) return [];
    return [{set, name, from: from?.version, to: to?.version}];
  });
}

/** One line a change, as `hawser image lock --diff` prints it. */
export function renderChanges(changes: readonly PackageChange[]): string[] {
  return changes.map(({set, name, from, to}) => {
    if (from === undefined) return `+ ${set} ${name} ${to ?? ''}`;
    if (to === undefined) return `- ${set} ${name} ${from}`;
    return from === to
      ? `! ${set} ${name} ${to}: other bytes under the same version`
      : `~ ${set} ${name} ${from} -> ${to}`;
  });
}

/** The lock as committed: sorted, one package a line, so that a diff reads well. */
export function serializeLock(lock: Lock): string {
  const list = (name: string, entries: readonly object[], indent = '  ') => {
    const lines = entries.map(entry => `${indent}  ${JSON.stringify(entry)}`).join(',\n');
    return `${indent}${JSON.stringify(name)}: [\n${lines}\n${indent}]`;
  };
  const sysextSets = (sets: Readonly<Record<string, readonly LockedPackage[]>>) => {
    const lists = Object.entries(sets)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, entries]) => list(name, byName(entries), '    '));
    return `  "sysexts": {\n${lists.join(',\n')}\n  }`;
  };
  const byName = <Entry extends {name: string}>(entries: readonly Entry[]) =>
    [...entries].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return [
    '{',
    `  "schema": ${lock.schema},`,
    `  "request": ${JSON.stringify(lock.request)},`,
    `  "epoch": ${lock.epoch},`,
    `  "seed": ${JSON.stringify(lock.seed)},`,
    [
      ...packageSets.map(set => list(set, byName(lock[set]))),
      list('npm', byName(lock.npm)),
      ...(lock.sysexts === undefined ? [] : [sysextSets(lock.sysexts)]),
    ].join(',\n'),
    '}',
    '',
  ].join('\n');
}
