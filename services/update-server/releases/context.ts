/** What every change of a repository is done with. */
import {MetaFile} from '@tufjs/models';
import {sha256} from '../../common/hash.ts';
import {withdrawnReleases} from '../../common/tuf/metadata.ts';
import type {Role, Signer} from './keys/key.ts';
import type {Lifetimes} from './lifetimes.ts';
import type {KeyStore, RepositoryStore} from './ports.ts';
import type {MetadataPlan, TargetsContent, Write} from './sign.ts';
import {loadState, type RepositoryState} from './state.ts';

export interface ReleasesContext {
  readonly store: RepositoryStore;
  readonly keys: KeyStore;
  readonly now: () => Date;
  readonly lifetimes: Lifetimes;
  readonly signal: AbortSignal;
}

/** Runs `work` with the repository to itself: state as it is now, verified. */
export async function withRepository<Result>(
  context: ReleasesContext,
  work: (state: RepositoryState) => Promise<Result>,
): Promise<Result> {
  await using _ = await context.store.lock(context.signal);
  const state = await loadState(context.store, await context.keys.memory.load());
  return await work(state); // awaited: the lock is given back when this function ends
}

/** Opens the keys of `wanted`; a role that is not wanted has none. */
export async function openSigners(
  keys: KeyStore,
  wanted: readonly Role[],
): Promise<(role: Role) => readonly Signer[]> {
  const opened = new Map<Role, readonly Signer[]>();
  for (const role of wanted) opened.set(role, await keys.signers(role));
  return role => opened.get(role) ?? [];
}

export function contentOf(state: RepositoryState): TargetsContent {
  const {signed} = state.targets;
  return {targets: signed.targets, withdrawn: withdrawnReleases(signed)};
}

/** The part of a plan that follows from the state: versions above every file that is there. */
export function planFrom(
  state: RepositoryState,
): Pick<MetadataPlan, 'versions' | 'current'> & {roots: MetadataPlan['roots']} {
  return {
    roots: [state.root.signed],
    versions: {
      targets: state.highest.targets + 1,
      snapshot: state.highest.snapshot + 1,
      timestamp: state.timestamp.signed.version + 1,
    },
    current: {
      targets: state.snapshot.signed.meta['targets.json'] ?? new MetaFile({version: 1}),
      snapshot: state.timestamp.signed.snapshotMeta,
    },
  };
}

/** Writes in order. What clients look at first is last, so a kill anywhere leaves the old repository. */
export async function apply(store: RepositoryStore, writes: readonly Write[]): Promise<void> {
  for (const {path, bytes} of writes) await store.write(path, bytes);
}

/** Remembers what was signed: the newest root and the version of targets.json among `writes`, else those of `state`. */
export async function remember(
  context: ReleasesContext,
  state: Pick<RepositoryState, 'rootBytes'> & {
    readonly targets: {readonly signed: {readonly version: number}};
  },
  writes: readonly Write[] = [],
): Promise<void> {
  const root = writes.findLast(({path}) => path.endsWith('.root.json'))?.bytes ?? state.rootBytes;
  const versions = writes.map(({path}) => Number(/\/(\d+)\.targets\.json$/.exec(path)?.[1] ?? 0));
  await context.keys.memory.save({root, targets: Math.max(state.targets.signed.version, ...versions)});
}

/** A file by its content, as a write. */
export function contentAddressed(folder: string, bytes: Uint8Array, suffix: string): Write {
  return {path: `${folder}/${sha256(bytes)}${suffix}`, bytes};
}
