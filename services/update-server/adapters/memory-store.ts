/** A store in memory that behaves as etcd does, compaction included: for tests and trials. */
import type {Change} from '../fleet.ts';
import type {Entry, Store, WatchHandlers, Write} from '../ports.ts';

interface Watcher {
  readonly prefix: string;
  readonly handlers: WatchHandlers;
}

export interface MemoryStore extends Store {
  /** Forgets history up to now: a watch from before is lost. */
  compact(): void;
  /** Ends every watch as a compaction during an outage does. */
  loseWatches(): void;
}

/** Opens an empty store. */
export function createMemoryStore(): MemoryStore {
  const entries = new Map<string, Entry>();
  const history: Change[] = [];
  const watchers = new Set<Watcher>();
  let revision = 1n;
  let compacted = 0n;

  const holds = (write: Write): boolean =>
    !('expect' in write) ||
    write.expect === undefined ||
    (entries.get(write.key)?.revision ?? 0n) === write.expect;

  return {
    list: prefix =>
      Promise.resolve({
        entries: [...entries.values()].filter(({key}) => key.startsWith(prefix)).sort(byKey),
        revision,
      }),
    last: (prefix, limit, before) =>
      Promise.resolve(
        [...entries.values()]
          .filter(({key}) => key.startsWith(prefix) && (before === undefined || key < before))
          .sort(byKey)
          .toReversed()
          .slice(0, limit),
      ),
    get: key => Promise.resolve(entries.get(key)),
    commit: writes => {
      if (!writes.every(holds)) return Promise.resolve(undefined);
      revision += 1n;
      const changes = writes.flatMap((write): Change[] => {
        if ('value' in write) {
          entries.set(write.key, {key: write.key, value: write.value, revision});
          return [{key: write.key, value: write.value, revision}];
        }
        const until = 'until' in write ? write.until : `${write.key}\0`;
        const gone = [...entries.keys()].filter(key => key >= write.key && key < until);
        for (const key of gone) entries.delete(key);
        return gone.map(key => ({key, revision}));
      });
      history.push(...changes);
      for (const watcher of watchers) deliver(watcher, changes);
      return Promise.resolve(revision);
    },
    watch: (prefix, after, handlers) => {
      const watcher = {prefix, handlers};
      queueMicrotask(() => {
        if (after < compacted) {
          handlers.lost(new Error('required revision has been compacted'));
          return;
        }
        handlers.connected();
        deliver(
          watcher,
          history.filter(change => change.revision > after),
        );
        watchers.add(watcher);
      });
      return () => void watchers.delete(watcher);
    },
    compact: () => {
      compacted = revision;
      history.length = 0;
    },
    loseWatches: () => {
      const lost = [...watchers];
      watchers.clear();
      for (const {handlers} of lost) handlers.lost(new Error('required revision has been compacted'));
    },
  };
}

function deliver({prefix, handlers}: Watcher, changes: readonly Change[]): void {
  const mine = changes.filter(({key}) => key.startsWith(prefix));
  if (mine.length > 0) handlers.changed(mine);
}

function byKey(a: Entry, b: Entry): number {
  return a.key < b.key ? -1 : 1;
}
