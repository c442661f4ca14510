/**
 * A release: what the signed manifest of an OS version says. The manifest is a TUF target
 * (`releases/<version>.json`), so whoever holds it verified knows every byte that follows from it.
 */
import {Type, type Static} from 'typebox';

export const Hex64 = Type.String({pattern: '^[0-9a-f]{64}$'});
export const SemverText = Type.String({
  pattern: '^\\d+\\.\\d+\\.\\d+(?:[-+][0-9A-Za-z.+-]+)?$',
  maxLength: 64,
});
export const Uuid = Type.String({pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'});

/** A static file of the repository, by content. `path` is relative to the repository's root. */
export const RepositoryFile = Type.Object({
  path: Type.String({pattern: '^[A-Za-z0-9][A-Za-z0-9._/+-]*$', maxLength: 255}),
  /** Bytes. */
  size: Type.Integer({minimum: 0}),
  sha256: Hex64,
});
export type RepositoryFile = Static<typeof RepositoryFile>;

export const PackageChange = Type.Object({
  name: Type.String(),
  from: Type.Optional(Type.String()),
  to: Type.Optional(Type.String()),
});

export const ReleaseManifest = Type.Object({
  schema: Type.Literal(1),
  name: Type.String({maxLength: 64}),
  version: SemverText,
  /** dm-verity root hash of /usr: names the release in every format. */
  rootHash: Hex64,
  /** RFC 3339. */
  created: Type.String({maxLength: 40}),
  /** A machine below this version must pass through this release before any later one. */
  barrier: Type.Boolean(),
  /** semver range of the versions that may update straight to this one; absent for any. */
  from: Type.Optional(Type.String({maxLength: 256})),
  /** semver range of the higher versions that may go down to this one; absent for none. */
  downgradeFrom: Type.Optional(Type.String({maxLength: 256})),
  notes: Type.String({maxLength: 65_536}),
  /** What changed against the release named in `comparedWith`. */
  comparedWith: Type.Optional(SemverText),
  packages: Type.Array(PackageChange),
  /** Names and versions of all packages of the image: what the next release is compared with. */
  packageList: Type.Optional(RepositoryFile),
  /** Bytes of the whole release, compressed: what a machine with nothing of it would fetch. */
  fullBytes: Type.Integer({minimum: 0}),
  usr: Type.Object({
    /** Bytes of the erofs image, a multiple of 4096. */
    size: Type.Integer({minimum: 4096}),
    /** Hex. One salt for all releases (D4). */
    salt: Type.String({pattern: '^(?:[0-9a-f]{2})*$', maxLength: 512}),
    uuid: Uuid,
  }),
  uki: Type.Object({size: Type.Integer({minimum: 1}), sha256: Hex64}),
  bootLoader: Type.Object({size: Type.Integer({minimum: 1}), sha256: Hex64}),
  /** services/common/payload: the index by which a machine fetches only what it lacks. */
  payload: RepositoryFile,
  /** Every other file of this release in the repository: what a mirror copies. */
  files: Type.Optional(Type.Array(RepositoryFile, {maxItems: 4096})),
});
export type ReleaseManifest = Static<typeof ReleaseManifest>;

/** Where the manifest of `version` stands among the TUF targets. */
export function releaseTarget(version: string): string {
  return `releases/${version}.json`;
}

/** Folders of a repository: any static web server or object store serves them as they are. */
export const repositoryFolders = {metadata: 'metadata', targets: 'targets', payloads: 'payloads'} as const;

/** Below HAWSER_HOME: the publisher's keys, and the newest root, which is what machines are given first. */
export const publisherFiles = {keys: ['release-keys'], trustedRoot: ['release-keys', 'root.json']} as const;
