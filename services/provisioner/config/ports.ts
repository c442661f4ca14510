/** What the translation needs from outside. The core reads no disk: local files come through these. */

/** What stands at a path below the files directory. */
export type LocalEntry =
  | {readonly kind: 'file'; readonly bytes: Uint8Array; readonly executable: boolean}
  | {readonly kind: 'folder'; readonly names: readonly string[]}
  | {readonly kind: 'link'; readonly target: string}
  | {readonly kind: 'other'}
  /** Cannot be had: missing, outside of the directory, too large, ... */
  | {readonly kind: 'unavailable'; readonly reason: string};

/**
 * Looks at `path`, relative to the files directory and without `..`. With `follow`, a link is followed as long as
 * it stays inside; without, it is reported as a link.
 */
export type ReadLocal = (path: string, follow: boolean) => LocalEntry;

/** Compresses contents for a `data:` URL; must always give the same bytes for the same input. */
export type Gzip = (bytes: Uint8Array) => Uint8Array;
