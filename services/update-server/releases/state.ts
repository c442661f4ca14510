/** The repository as it is now: read, and verified from the root on before anybody signs on top of it. */
import {Metadata, MetadataKind, type Root, type Snapshot, type Targets, type Timestamp} from '@tufjs/models';
import {repositoryFolders} from '../../common/contracts/release.ts';
import {metadataPath} from '../../common/tuf/metadata.ts';
import {ReleasesError} from './errors.ts';
import type {Remembered, RepositoryStore} from './ports.ts';

export interface RepositoryState {
  readonly root: Metadata<Root>;
  readonly rootBytes: Uint8Array;
  readonly targets: Metadata<Targets>;
  readonly snapshot: Metadata<Snapshot>;
  readonly timestamp: Metadata<Timestamp>;
  /** The highest version of which there is a file, also one that a killed command left and nothing names. */
  readonly highest: {readonly targets: number; readonly snapshot: number};
}

type JsonObject = Parameters<typeof Metadata.fromJSON>[1];
type Kind = 'root' | 'targets' | 'snapshot';

/** Whether there is a repository at all. */
export async function hasRepository(store: RepositoryStore): Promise<boolean> {
  return (await store.read(metadataPath.root(1))) !== undefined;
}

/**
 * Verifies signatures, hashes and versions; expiry is not looked at, since what has expired is what wants to be signed
 * anew. Throws {@link ReleasesError}: `no-repository`, `repository-damaged`, and against what this publisher signed
 * last, `foreign-repository` and `repository-rolled-back`.
 */
export async function loadState(store: RepositoryStore, memory?: Remembered): Promise<RepositoryState> {
  const names = await store.list(repositoryFolders.metadata);
  const highest = (kind: Kind) =>
    Math.max(0, ...names.map(name => Number(new RegExp(`^(\\d+)\\.${kind}\\.json$`).exec(name)?.[1] ?? 0)));
  if (highest('root') === 0) {
    throw new ReleasesError('no-repository', `there is no repository in ${store.name}`, {
      remedy: 'make keys and repository with "hawser release keys init"',
    });
  }
  const {root, rootBytes} = await loadRoot(store, highest('root'), memory);
  const timestampBytes = await need(store, metadataPath.timestamp());
  const timestamp = parse(readers.timestamp, timestampBytes, store, metadataPath.timestamp());
  verify(root, 'timestamp', timestamp, store);
  const snapshotPath = metadataPath.snapshot(timestamp.signed.snapshotMeta.version);
  const snapshotBytes = await need(store, snapshotPath);
  const snapshot = parse(readers.snapshot, snapshotBytes, store, snapshotPath);
  verify(root, 'snapshot', snapshot, store);
  const targetsMeta = snapshot.signed.meta['targets.json'];
  if (targetsMeta === undefined) throw damaged(store, `${snapshotPath} does not name targets.json`);
  const targetsPath = metadataPath.targets(targetsMeta.version);
  const targetsBytes = await need(store, targetsPath);
  const targets = parse(readers.targets, targetsBytes, store, targetsPath);
  verify(root, 'targets', targets, store);
  try {
    timestamp.signed.snapshotMeta.verify(Buffer.from(snapshotBytes));
    targetsMeta.verify(Buffer.from(targetsBytes));
  } catch (error) {
    throw damaged(store, 'its files do not belong together', error);
  }
  if (memory !== undefined && targets.signed.version < memory.targets) {
    throw new ReleasesError(
      'repository-rolled-back',
      `${store.name} has version ${targets.signed.version} of targets.json, this publisher signed ${memory.targets}`,
      {remedy: 'find out who put the old files there, and copy the newest repository back'},
    );
  }
  return {
    root,
    rootBytes,
    targets,
    snapshot,
    timestamp,
    highest: {
      targets: Math.max(highest('targets'), targets.signed.version),
      snapshot: Math.max(highest('snapshot'), snapshot.signed.version),
    },
  };
}

/** Every root from the remembered one (else the first) to the newest, each signed by the one before. */
async function loadRoot(
  store: RepositoryStore,
  newest: number,
  memory: Remembered | undefined,
): Promise<{root: Metadata<Root>; rootBytes: Uint8Array}> {
  let rootBytes = memory?.root ?? (await need(store, metadataPath.root(1)));
  let root = parse(readers.root, rootBytes, store, 'root.json');
  verify(root, 'root', root, store);
  const first = root.signed.version;
  if (first > newest) {
    throw new ReleasesError(
      'repository-rolled-back',
      `${store.name} has root ${newest}, this publisher signed ${first}`,
      {remedy: 'find out who put the old files there, and copy the newest repository back'},
    );
  }
  if (memory !== undefined && !same(memory.root, await need(store, metadataPath.root(first)))) {
    throw new ReleasesError('foreign-repository', `${store.name} does not belong to these keys`, {
      remedy: 'name the repository or the keys that belong together: --repository, --keys',
    });
  }
  for (let version = first + 1; version <= newest; version++) {
    const path = metadataPath.root(version);
    const bytes = await need(store, path);
    const next = parse(readers.root, bytes, store, path);
    if (next.signed.version !== version) throw damaged(store, `${path} has version ${next.signed.version}`);
    verify(root, 'root', next, store);
    verify(next, 'root', next, store);
    [root, rootBytes] = [next, bytes];
  }
  return {root, rootBytes};
}

function verify(
  root: Metadata<Root>,
  role: string,
  metadata: Metadata<Root> | Metadata<Targets> | Metadata<Snapshot> | Metadata<Timestamp>,
  store: RepositoryStore,
): void {
  try {
    root.verifyDelegate(role, metadata);
  } catch (error) {
    throw damaged(store, `its ${role} is not signed by enough of the keys that its root trusts`, error);
  }
}

/** Each kind is read by the function that knows it, so that its type follows. */
const readers = {
  root: (value: JsonObject) => Metadata.fromJSON(MetadataKind.Root, value),
  targets: (value: JsonObject) => Metadata.fromJSON(MetadataKind.Targets, value),
  snapshot: (value: JsonObject) => Metadata.fromJSON(MetadataKind.Snapshot, value),
  timestamp: (value: JsonObject) => Metadata.fromJSON(MetadataKind.Timestamp, value),
};

function parse<Result>(
  read: (value: JsonObject) => Result,
  bytes: Uint8Array,
  store: RepositoryStore,
  path: string,
): Result {
  try {
    const value: JsonObject = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return read(value);
  } catch (error) {
    throw damaged(store, `${path} is not metadata`, error);
  }
}

async function need(store: RepositoryStore, path: string): Promise<Uint8Array> {
  const bytes = await store.read(path);
  if (bytes === undefined) throw damaged(store, `${path} is missing`);
  return bytes;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.from(a).equals(Buffer.from(b));
}

function damaged(store: RepositoryStore, why: string, cause?: unknown): ReleasesError {
  return new ReleasesError(
    'repository-damaged',
    `the repository in ${store.name} cannot be extended: ${why}`,
    {
      remedy: 'see "hawser release verify", and put the files back from a mirror',
      ...(cause === undefined ? {} : {cause}),
    },
  );
}
