/** What changed between two releases: packages by version and size, and the artefacts of their manifests. */
import type {ImageManifest} from '../../services/common/contracts/image.ts';
import {compareDebianVersions} from './debian-version.ts';
import {megabytes} from './sizes.ts';

export interface PackageEntry {
  readonly name: string;
  readonly version: string;
  /** Bytes in the image. */
  readonly size: number;
}

export interface PackageChange {
  readonly name: string;
  readonly before: PackageEntry;
  readonly after: PackageEntry;
  /** `rebuilt`: the same version with another size. */
  readonly kind: 'upgrade' | 'downgrade' | 'rebuilt';
}

export interface PackageDiff {
  readonly added: readonly PackageEntry[];
  readonly removed: readonly PackageEntry[];
  readonly changed: readonly PackageChange[];
  /** Bytes by which the whole grew; negative when it shrank. */
  readonly growth: number;
}

/** Difference of two sets of Debian packages, each list sorted by name. */
export function diffPackages(before: readonly PackageEntry[], after: readonly PackageEntry[]): PackageDiff {
  const old = new Map(before.map(one => [one.name, one]));
  const names = new Set(after.map(one => one.name));
  const changed = after.flatMap((one): PackageChange[] => {
    const was = old.get(one.name);
    if (was === undefined) return [];
    const order = compareDebianVersions(was.version, one.version);
    if (order === 0 && was.version === one.version && was.size === one.size) return [];
    const kind = order < 0 ? 'upgrade' : order > 0 ? 'downgrade' : 'rebuilt';
    return [{name: one.name, before: was, after: one, kind}];
  });
  return {
    added: byName(after.filter(one => !old.has(one.name))),
    removed: byName(before.filter(one => !names.has(one.name))),
    changed: byName(changed),
    growth: total(after) - total(before),
  };
}

/** One line per change; a single line when there is none. */
export function renderPackageDiff(diff: PackageDiff): string[] {
  const lines = [
    ...diff.added.map(one => `+ ${one.name} ${one.version} (${signed(one.size)})`),
    ...diff.removed.map(one => `- ${one.name} ${one.version} (${signed(-one.size)})`),
    ...diff.changed.map(({name, before, after, kind}) => {
      const mark = {upgrade: '^', downgrade: 'v', rebuilt: '='}[kind];
      const versions =
        before.version === after.version ? after.version : `${before.version} -> ${after.version}`;
      return `${mark} ${name} ${versions} (${signed(after.size - before.size)})`;
    }),
  ];
  if (lines.length === 0) return ['the packages are the same'];
  const counts = `${diff.added.length} added, ${diff.removed.length} removed, ${diff.changed.length} changed`;
  return [...lines, `${counts}, ${signed(diff.growth)} in all`];
}

export interface ManifestDiff {
  /** Fields of the manifest with their two values. */
  readonly fields: readonly {readonly name: string; readonly before: string; readonly after: string}[];
  /** Artefacts whose bytes differ; a size is absent where one side has no such artefact. */
  readonly artefacts: readonly {
    readonly name: string;
    readonly before?: number;
    readonly after?: number;
  }[];
}

const FIELDS = ['name', 'version', 'kernel', 'rootHash', 'lockSha256', 'locked', 'signed'] as const;

/** Difference of two manifests; empty lists mean the same bytes in every artefact. */
export function diffManifests(before: ImageManifest, after: ImageManifest): ManifestDiff {
  const names = [...new Set([...Object.keys(before.artefacts), ...Object.keys(after.artefacts)])].sort();
  return {
    fields: FIELDS.filter(name => before[name] !== after[name]).map(name => ({
      name,
      before: String(before[name]),
      after: String(after[name]),
    })),
    artefacts: names
      .filter(name => before.artefacts[name]?.sha256 !== after.artefacts[name]?.sha256)
      .map(name => ({
        name,
        ...size('before', before.artefacts[name]),
        ...size('after', after.artefacts[name]),
      })),
  };
}

/** One line per field and artefact that differs; a single line when none does. */
export function renderManifestDiff(diff: ManifestDiff): string[] {
  const lines = [
    ...diff.fields.map(one => `${one.name}: ${one.before} -> ${one.after}`),
    ...diff.artefacts.map(({name, before, after}) => {
      if (before === undefined) return `${name}: added, ${megabytes(after ?? 0)}`;
      if (after === undefined) return `${name}: removed, was ${megabytes(before)}`;
      return `${name}: ${megabytes(before)} -> ${megabytes(after)} (${signed(after - before)})`;
    }),
  ];
  return lines.length === 0 ? ['the images are the same'] : lines;
}

function size<Key extends string>(
  key: Key,
  artefact: {readonly size: number} | undefined,
): {[K in Key]?: number} {
  return artefact === undefined ? {} : ({[key]: artefact.size} as {[K in Key]?: number});
}

function byName<Entry extends {readonly name: string}>(entries: readonly Entry[]): Entry[] {
  return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function total(entries: readonly PackageEntry[]): number {
  return entries.reduce((sum, one) => sum + one.size, 0);
}

function signed(bytes: number): string {
  const sign = bytes < 0 ? '-' : '+';
  const size = Math.abs(bytes);
  return sign + (size < 100_000 ? `${(size / 1000).toFixed(1)} kB` : megabytes(size));
}
