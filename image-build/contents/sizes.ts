/** What each package costs in the image: bytes of the files that are really there, by the package that owns them. */

export interface TreeFile {
  /** Absolute, as in the running system: `/usr/bin/bash`. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Files with the same number are one file with several names; it is counted once. */
  readonly inode?: number;
}

export interface PackageSize {
  /** Package name, or {@link unownedName}. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly files: number;
}

/** Stands for files that no package owns: what the build itself made or brought. */
export const unownedName = '(not from a package)';

// Debian packages may still name files by the links of the merged /usr.
const MERGED = /^\/(bin|sbin|lib|lib32|lib64|libx32)\//;
// The build stores kernel modules decompressed; their package lists them as `.ko.xz`.
const COMPRESSED = ['.xz', '.zst', '.gz'];

/**
 * Sizes by package, largest first. `lists` holds the paths of each package as in /var/lib/dpkg/info/NAME.list;
 * a path in several lists counts for the first package by name. The sum is that of the tree.
 */
export function sizesByPackage(
  tree: readonly TreeFile[],
  lists: ReadonlyMap<string, readonly string[]>,
): PackageSize[] {
  const owners = new Map<string, string>();
  for (const [name, paths] of [...lists].sort(([a], [b]) => (a < b ? -1 : 1))) {
    for (const path of paths) {
      const merged = mergedPath(path);
      if (!owners.has(merged)) owners.set(merged, name);
    }
  }
  const ownerOf = (path: string): string => {
    const merged = mergedPath(path);
    const names = [merged, ...COMPRESSED.map(end => merged + end)];
    return names.map(name => owners.get(name)).find(owner => owner !== undefined) ?? unownedName;
  };
  const counted = new Set<number>();
  const sums = new Map<string, {size: number; files: number}>();
  for (const file of tree) {
    if (file.inode !== undefined && counted.has(file.inode)) continue;
    if (file.inode !== undefined) counted.add(file.inode);
    const sum = sums.get(ownerOf(file.path)) ?? {size: 0, files: 0};
    sums.set(ownerOf(file.path), {size: sum.size + file.size, files: sum.files + 1});
  }
  return [...sums]
    .map(([name, sum]) => ({name, ...sum}))
    .sort((a, b) => b.size - a.size || (a.name < b.name ? -1 : 1));
}

/** The paths in the text of a dpkg `.list` file. */
export function parseFileList(text: string): string[] {
  return text.split('\n').filter(line => line.startsWith('/') && line !== '/.');
}

/** A table for people: at most `limit` rows, the rest in one. */
export function renderSizes(sizes: readonly PackageSize[], limit = 30): string[] {
  const shown = sizes.slice(0, limit);
  const rest = sizes.slice(limit);
  const rows = shown.map(one => row(one.size, one.name));
  if (rest.length > 0) rows.push(row(sum(rest), `${rest.length} more`));
  return [...rows, row(sum(sizes), 'in all')];
}

/** Bytes as megabytes (10^6) with one decimal. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function row(size: number, name: string): string {
  return `${megabytes(size).padStart(10)}  ${name}`;
}

function sum(sizes: readonly PackageSize[]): number {
  return sizes.reduce((total, one) => total + one.size, 0);
}

function mergedPath(path: string): string {
  return MERGED.test(path) ? `/usr${path}` : path;
}
