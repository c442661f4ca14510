/** What the update server needs from the world. */
import type {Change} from './fleet.ts';
import type {LockHolder} from '../common/contracts/policy.ts';

export interface Entry {
  readonly key: string;
  readonly value: string;
  /** The revision of the store at which the value was written (etcd's mod_revision). */
  readonly revision: bigint;
}

export interface Listing {
  readonly entries: readonly Entry[];
  /** The revision of the store that the listing shows. */
  readonly revision: bigint;
}

/** One change of a commit. `expect`: the key's revision now, 0 for none; absent when it does not matter. */
export type Write =
  | {readonly key: string; readonly value: string; readonly expect?: bigint}
  | {readonly key: string; readonly delete: true; readonly expect?: bigint}
  /** All keys from `key` up to, not with, `until`. */
  | {readonly key: string; readonly until: string; readonly delete: true};

export interface WatchHandlers {
  /** Changes of one revision or several, in order. */
  readonly changed: (changes: readonly Change[]) => void;
  /** The watch has caught up with the store and is served by it. */
  readonly connected: () => void;
  /** No changes arrive for now; the watch goes on by itself from where it was. */
  readonly disconnected: () => void;
  /** The watch has ended for good: what it wanted to go on from is compacted, or the store refused it. */
  readonly lost: (error: Error) => void;
}

/** Plain keys of etcd, changed by compare-and-swap. Throws `store-unavailable` when there is no answer. */
export interface Store {
  /** All keys with the prefix, at one revision. */
  list(prefix: string, atRevision?: bigint): Promise<Listing>;
  /** The last `limit` keys with the prefix that come before `before` (all, when absent), the last one first. */
  last(prefix: string, limit: number, before?: string): Promise<readonly Entry[]>;
  get(key: string): Promise<Entry | undefined>;
  /** All or nothing: the new revision, or undefined when some `expect` did not hold. At most {@link MAX_WRITES}. */
  commit(writes: readonly Write[]): Promise<bigint | undefined>;
  /** Follows all keys with the prefix from the revision after `after`. Returns what ends it. */
  watch(prefix: string, after: bigint, handlers: WatchHandlers): () => void;
}

/** etcd allows 128 operations in a transaction unless it was told otherwise. */
export const MAX_WRITES = 100;

/** Who holds reboot locks; services/reboot-lock knows. */
export type ReadLocks = () => Promise<readonly LockHolder[]>;
