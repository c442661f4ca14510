/** What the allocator needs from outside. */

export interface Entry {
  readonly key: string;
  readonly value: string;
  /** etcd's mod_revision. */
  readonly revision: bigint;
}

export type Change = Entry | {readonly key: string; readonly revision: bigint};

export type Write =
  | {readonly key: string; readonly value: string}
  | {readonly key: string; readonly delete: true}
  /** All that is below a prefix. Alone in its transaction, since etcd refuses to touch a key twice in one. */
  | {readonly prefix: string; readonly delete: true};

/**
 * What must still be so for a change to be made: the key has this revision (0: it does not exist), or no key with the
 * prefix was made or changed after it. A key that was deleted since goes unnoticed by the latter.
 */
export type Guard =
  | {readonly key: string; readonly revision: bigint}
  | {readonly prefix: string; readonly unchangedSince: bigint};

export interface WatchHandlers {
  readonly changed: (changes: readonly Change[]) => void;
  readonly connected: () => void;
  readonly disconnected: () => void;
  /** For good: what it wanted to go on from is compacted. */
  readonly lost: (error: Error) => void;
}

/** Plain keys of etcd. Throws AllocatorError `unreachable`. */
export interface OverlayStore {
  list(prefix: string): Promise<{readonly entries: readonly Entry[]; readonly revision: bigint}>;
  /** All or nothing: the revision of the change, or undefined when a guard did not hold. */
  commit(writes: readonly Write[], guards: readonly Guard[]): Promise<bigint | undefined>;
  watch(prefix: string, after: bigint, handlers: WatchHandlers): () => void;
}

/** The calls of pino that are used. */
export interface AllocatorLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
