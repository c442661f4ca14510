/** A copy of a repository, and the proof that one is whole. Either way every byte is held against the trusted root. */
import type {ReleaseManifest, RepositoryFile} from '../../common/contracts/release.ts';
import {ReleaseManifest as ReleaseManifestSchema} from '../../common/contracts/release.ts';
import {Type} from 'typebox';
import {parseJson} from '../../common/parse.ts';
import {
  isUsableRoot,
  readTarget,
  refreshMetadata,
  type Refreshed,
  type TrustedFiles,
} from '../../common/tuf/client.ts';
import {TrustError} from '../../common/tuf/errors.ts';
import {metadataPath, targetPath, versionOfTarget} from '../../common/tuf/metadata.ts';
import type {RepositorySource} from '../../common/tuf/source.ts';
import type {Write} from './sign.ts';

/** Everything that belongs to a repository now. */
export interface RepositoryContents {
  readonly releases: readonly ReleaseManifest[];
  /** Payload files, each once. */
  readonly files: readonly RepositoryFile[];
  /** Manifests, then metadata, what clients look at first last. */
  readonly writes: readonly Write[];
  readonly refreshed: Refreshed;
}

export interface ContentsWish {
  readonly source: RepositorySource;
  readonly trustedRoot: Uint8Array;
  /** What the copy holds so far: it is never rolled back. */
  readonly kept?: Omit<TrustedFiles, 'root'>;
  readonly now: Date;
  readonly signal: AbortSignal;
}

const METADATA_MAX = 5_000_000;
const ROOT_MAX = 512_000;

/**
 * Reads all that is signed. All roots from the first one on are read, so that a machine that knows only the first can
 * follow, and the trusted one must be among them. Throws TrustError.
 */
export async function readContents({
  source,
  trustedRoot,
  kept = {},
  now,
  signal,
}: ContentsWish): Promise<RepositoryContents> {
  if (!isUsableRoot(trustedRoot)) throw new TrustError('bad-root', 'the trusted root cannot be used');
  const first = await source.read(metadataPath.root(1), ROOT_MAX, signal);
  const roots: Write[] = [{path: metadataPath.root(1), bytes: first}];
  // From the first root forward; that the trusted one lies on this way is what makes it believable.
  const refreshed = await refreshMetadata({
    trusted: {...kept, root: first},
    source,
    now,
    signal,
    onRoot: async (bytes, version) => void roots.push({path: metadataPath.root(version), bytes}),
  });
  if (!roots.some(({bytes}) => Buffer.from(bytes).equals(Buffer.from(trustedRoot))))
    throw new TrustError('bad-signature', `${source.name} does not grow from the trusted root`);

  const {targets, snapshot, files} = refreshed;
  const releases: ReleaseManifest[] = [];
  const manifests: Write[] = [];
  for (const [name, target] of Object.entries(targets.targets)) {
    const bytes = await readTarget(source, target, signal);
    manifests.push({path: targetPath(name, target.hashes['sha256'] ?? ''), bytes});
    if (versionOfTarget(name) === undefined) continue;
    releases.push(parseJson(ReleaseManifestSchema, Buffer.from(bytes).toString('utf8'), name));
  }
  return {
    releases,
    refreshed,
    files: uniqueFiles(releases),
    writes: [
      ...manifests,
      {path: metadataPath.targets(targets.version), bytes: files.targets},
      {path: metadataPath.snapshot(snapshot.version), bytes: files.snapshot},
      ...roots,
      {path: metadataPath.timestamp(), bytes: files.timestamp},
    ],
  };
}

/** The newest metadata of a copy, as far as it can be read: it is verified again before it counts. */
export async function keptMetadata(copy: RepositorySource): Promise<Omit<TrustedFiles, 'root'>> {
  const read = async (path: string) => copy.read(path, METADATA_MAX).catch(() => undefined);
  const timestamp = await read(metadataPath.timestamp());
  const snapshot = await read(metadataPath.snapshot(namedVersion(timestamp, 'snapshot.json')));
  return {
    timestamp,
    snapshot,
    targets: await read(metadataPath.targets(namedVersion(snapshot, 'targets.json'))),
  };
}

const Names = Type.Object({
  signed: Type.Object({meta: Type.Record(Type.String(), Type.Object({version: Type.Integer()}))}),
});

function namedVersion(bytes: Uint8Array | undefined, name: string): number {
  if (bytes === undefined) return 0;
  try {
    return parseJson(Names, Buffer.from(bytes).toString('utf8'), name).signed.meta[name]?.version ?? 0;
  } catch {
    return 0;
  }
}

/** The files that releases name, each once. */
function uniqueFiles(releases: readonly ReleaseManifest[]): RepositoryFile[] {
  const files = new Map<string, RepositoryFile>();
  for (const {payload, packageList, files: others = []} of releases) {
    for (const file of [payload, ...others, ...(packageList === undefined ? [] : [packageList])])
      files.set(file.path, file);
  }
  return [...files.values()];
}
