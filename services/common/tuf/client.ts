/**
 * The client side of TUF (specification 1.0.31, section 5), on the verifying core of tuf-js. Its `Updater` is not used:
 * it takes the system's clock, writes what it keeps without fsync or rename, so that a power cut can end all trust, and
 * turns every error into text. The tests hold this file against that Updater.
 */
import type {Root, Snapshot, TargetFile, Targets, Timestamp} from '@tufjs/models';
import {Readable} from 'node:stream';
import {TrustedMetadataStore} from 'tuf-js/dist/store.js';
import {EqualVersionError} from 'tuf-js/dist/error.js';
import {explain} from './blame.ts';
import {TrustError} from './errors.ts';
import {metadataPath, signedAt, targetPath} from './metadata.ts';
import type {RepositorySource} from './source.ts';

/** Bytes of the newest metadata that was verified, as they are kept between runs. */
export interface TrustedFiles {
  readonly root: Uint8Array;
  readonly timestamp?: Uint8Array | undefined;
  readonly snapshot?: Uint8Array | undefined;
  readonly targets?: Uint8Array | undefined;
}

export interface VerifiedFiles {
  readonly root: Uint8Array;
  readonly timestamp: Uint8Array;
  readonly snapshot: Uint8Array;
  readonly targets: Uint8Array;
}

export interface RefreshInput {
  readonly trusted: TrustedFiles;
  readonly source: RepositorySource;
  readonly now: Date;
  /** Time is never before this: when the running system was built. */
  readonly notBefore?: Date | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with each newer root as soon as it is verified: keep it even when the rest fails (5.3.8). */
  readonly onRoot?: (bytes: Uint8Array, version: number) => Promise<void>;
}

export interface Refreshed {
  readonly files: VerifiedFiles;
  readonly root: Root;
  readonly timestamp: Timestamp;
  readonly snapshot: Snapshot;
  readonly targets: Targets;
  /** The time that expiries were held against. */
  readonly referenceTime: Date;
}

// As in tuf-js: enough for anything real, and an end to anything endless.
const limits = {root: 512_000, timestamp: 16_384, snapshot: 2_000_000, targets: 5_000_000} as const;
const MAX_ROOT_ROTATIONS = 256;

/** Runs section 5.2 to 5.6. Throws {@link TrustError}; what was trusted before is then still all there is. */
export async function refreshMetadata(input: RefreshInput): Promise<Refreshed> {
  const {source, trusted, signal} = input;
  const store = openRoot(trusted.root);
  const rootBytes = await followRoots(store, input);
  const referenceTime = timeFloor(store, input);
  // 5.1 fixes the time; the class takes the system's, which may be years off.
  store['referenceTime'] = referenceTime;

  const timestampBytes = await updateTimestamp(store, input);
  const timestamp = present(store.timestamp);
  const meta = timestamp.signed.snapshotMeta;
  const snapshotBytes = await update({
    local: trusted.snapshot,
    accept: bytes => void store.updateSnapshot(bytes, true),
    path: metadataPath.snapshot(meta.version),
    maxBytes: meta.length ?? limits.snapshot,
    acceptNew: bytes => void store.updateSnapshot(bytes),
    source,
    signal,
  });
  const snapshot = present(store.snapshot);
  const targetsMeta = snapshot.signed.meta['targets.json'];
  if (targetsMeta === undefined)
    throw new TrustError('rollback', `the snapshot of ${source.name} does not name targets.json`);
  const targetsBytes = await update({
    local: trusted.targets,
    accept: bytes => store.updateDelegatedTargets(bytes, 'targets', 'root'),
    path: metadataPath.targets(targetsMeta.version),
    maxBytes: targetsMeta.length ?? limits.targets,
    acceptNew: bytes => store.updateDelegatedTargets(bytes, 'targets', 'root'),
    source,
    signal,
  });
  return {
    files: {root: rootBytes, timestamp: timestampBytes, snapshot: snapshotBytes, targets: targetsBytes},
    root: store.root.signed,
    timestamp: timestamp.signed,
    snapshot: snapshot.signed,
    targets: present(store.targets).signed,
    referenceTime,
  };
}

/** The bytes of a target, proven by length and hash (5.7). */
export async function readTarget(
  source: RepositorySource,
  target: TargetFile,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const sha256 = target.hashes['sha256'];
  if (sha256 === undefined) throw new TrustError('malformed', `${target.path} has no SHA-256`);
  const path = targetPath(target.path, sha256);
  const bytes = await source.read(path, target.length, signal);
  try {
    await target.verify(Readable.from([bytes]));
  } catch (error) {
    throw explain(error, `${source.name}: ${path}`);
  }
  return bytes;
}

/** Whether trust can begin with these bytes: a root that is signed by itself. */
export function isUsableRoot(bytes: Uint8Array): boolean {
  try {
    openRoot(bytes);
    return true;
  } catch {
    return false;
  }
}

function openRoot(bytes: Uint8Array): TrustedMetadataStore {
  try {
    return new TrustedMetadataStore(Buffer.from(bytes));
  } catch (error) {
    throw new TrustError('bad-root', 'the trusted root cannot be used', {
      remedy: 'it must be a root.json of the repository, as "hawser release keys init" wrote it',
      cause: error,
    });
  }
}

/** 5.3: every newer root, one after the other, each signed by the one before and by itself. */
async function followRoots(store: TrustedMetadataStore, input: RefreshInput): Promise<Uint8Array> {
  const {source, signal} = input;
  let newest = input.trusted.root;
  for (let step = 0; step < MAX_ROOT_ROTATIONS; step++) {
    const version = store.root.signed.version + 1;
    let bytes: Uint8Array;
    try {
      bytes = await source.read(metadataPath.root(version), limits.root, signal);
    } catch (error) {
      if (error instanceof TrustError && error.code === 'not-found') return newest;
      throw error;
    }
    try {
      store.updateRoot(Buffer.from(bytes));
    } catch (error) {
      throw explain(error, `${source.name}: ${metadataPath.root(version)}`);
    }
    await input.onRoot?.(bytes, version);
    newest = bytes;
  }
  throw new TrustError('too-large', `${source.name} has more new roots than ${MAX_ROOT_ROTATIONS}`);
}

/**
 * A clock that lost its time must not make old metadata look fresh: time is at least when the system was built, and
 * when the timestamp that is kept was signed, provided that today's root still trusts its key (a stolen key could
 * else push all clocks into the future for ever). Nothing is learnt from the clock itself, so one that ran ahead
 * leaves no trace.
 */
function timeFloor(store: TrustedMetadataStore, {now, notBefore, trusted}: RefreshInput): Date {
  const times = [now];
  if (notBefore !== undefined) times.push(notBefore);
  if (trusted.timestamp !== undefined) {
    const probe = new TrustedMetadataStore(Buffer.from(JSON.stringify(store.root.toJSON())));
    probe['referenceTime'] = new Date(0);
    try {
      const seen = signedAt(probe.updateTimestamp(Buffer.from(trusted.timestamp)).signed);
      if (seen !== undefined) times.push(seen);
    } catch {
      // Its key was rotated out, or the file is damaged: it says nothing.
    }
  }
  return new Date(Math.max(...times.map(time => time.getTime())));
}

/** 5.4. */
async function updateTimestamp(store: TrustedMetadataStore, input: RefreshInput): Promise<Uint8Array> {
  const {trusted, source, signal} = input;
  if (trusted.timestamp !== undefined) {
    try {
      store.updateTimestamp(Buffer.from(trusted.timestamp));
    } catch {
      // Expired, it still guards against rollback; signed by a key that was rotated out, it is forgotten, which is
      // how a repository recovers when a thief ran the version numbers up (5.3.11).
    }
  }
  const fresh = await source.read(metadataPath.timestamp(), limits.timestamp, signal);
  try {
    store.updateTimestamp(Buffer.from(fresh));
    return fresh;
  } catch (error) {
    if (error instanceof EqualVersionError && trusted.timestamp !== undefined) return trusted.timestamp;
    throw explain(error, `${source.name}: ${metadataPath.timestamp()}`);
  }
}

interface Update {
  readonly local: Uint8Array | undefined;
  readonly accept: (bytes: Buffer) => void;
  readonly path: string;
  readonly maxBytes: number;
  readonly acceptNew: (bytes: Buffer) => void;
  readonly source: RepositorySource;
  readonly signal: AbortSignal | undefined;
}

/** 5.5 and 5.6: what is kept, if it is what the metadata above names, else the repository's. */
async function update(input: Update): Promise<Uint8Array> {
  const {local, source, path} = input;
  if (local !== undefined) {
    try {
      input.accept(Buffer.from(local));
      return local;
    } catch {
      // Older than what is named now: it was loaded all the same and guards against rollback.
    }
  }
  const bytes = await source.read(path, input.maxBytes, input.signal);
  try {
    input.acceptNew(Buffer.from(bytes));
  } catch (error) {
    throw explain(error, `${source.name}: ${path}`);
  }
  return bytes;
}

function present<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new TrustError('malformed', 'metadata was verified but is not there');
  return value;
}
