/** Names of UKIs in `EFI/Linux` of the ESP, and their boot counters (Boot Loader Specification). */

export interface UkiFile {
  readonly name: string;
  readonly version: string;
  /** Absent when the entry is not counted: it proved itself, or never had to. */
  readonly tries?: {readonly left: number; readonly done: number};
  /** Written, but under a name that the loader does not take: it boots only once it is armed. */
  readonly staged: boolean;
}

const prefix = 'hawser_';
const stagedSuffix = '.efi.staged';
const newSuffix = '.efi.new';
const counted = /^(.*)\+(\d{1,9})(?:-(\d{1,9}))?$/;

/** Undefined for files that are not ours. */
export function parseUkiName(name: string): UkiFile | undefined {
  // FAT keeps the case, but nobody promises it.
  const lower = name.toLowerCase();
  if (!lower.startsWith(prefix)) return undefined;
  for (const suffix of [stagedSuffix, newSuffix]) {
    if (lower.endsWith(suffix)) {
      return {name, version: name.slice(prefix.length, -suffix.length), staged: true};
    }
  }
  if (!lower.endsWith('.efi')) return undefined;
  const stem = name.slice(prefix.length, -'.efi'.length);
  const match = counted.exec(stem);
  if (match === null) return {name, version: stem, staged: false};
  const [, version = '', left, done] = match;
  return {name, version, staged: false, tries: {left: Number(left), done: Number(done ?? '0')}};
}

/** While it is being written. */
export function newUkiName(version: string): string {
  return `${prefix}${version}${newSuffix}`;
}

export function stagedUkiName(version: string): string {
  return `${prefix}${version}${stagedSuffix}`;
}

/** The name of an entry that proved itself. */
export function blessedUkiName(version: string): string {
  return `${prefix}${version}.efi`;
}

/** The name by which an entry is tried last of all, and never while another one has tries left. */
export function badUkiName(version: string, done: number): string {
  return `${prefix}${version}+0-${done}.efi`;
}

/** A pattern (fnmatch) for the loader that fits `version` with and without a counter, and no longer version. */
export function ukiPattern(version: string): string {
  return `${prefix}${version}[+.]*efi`;
}
