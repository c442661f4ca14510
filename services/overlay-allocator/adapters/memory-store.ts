/** A store in memory: for tests, with the same rules as etcd's. */
import type {Change, Entry, OverlayStore, WatchHandlers} from '../ports.ts';

export function createMemoryStore(): OverlayStore {
  let revision = 1n;
  const values = new Map<string, Entry>();
  const past: Change[] = [];
  const watchers = new Set<{readonly prefix: string; readonly handlers: WatchHandlers}>();
  return {
    list: prefix =>
      Promise.resolve({
        entries: [...values.values()].filter(({key}) => key.startsWith(prefix)),
        revision,
      }),
    commit: (writes, guards) => {
      const holds = guards.every(guard =>
        'key' in guard
          ? (values.get(guard.key)?.revision ?? 0n) === guard.revision
          : [...values.values()].every(
              ({key, revision: at}) => !key.startsWith(guard.prefix) || at <= guard.unchangedSince,
            ),
      );
      if (!holds) return Promise.resolve(undefined);
      revision++;
      const changes = writes.flatMap((write): Change[] => {
        if (!('value' in write)) {
          const gone =
            'prefix' in write ? [...values.keys()].filter(key => key.startsWith(write.prefix)) : [write.key];
          for (const key of gone) values.delete(key);
          return gone.map(key => ({key, revision}));
        }
        const entry = {key: write.key, value: write.value, revision};
        values.set(write.key, entry);
        return [entry];
      });
      past.push(...changes);
      for (const {prefix, handlers} of watchers)
        handlers.changed(changes.filter(({key}) => key.startsWith(prefix)));
      return Promise.resolve(revision);
    },
    watch: (prefix, after, handlers) => {
      const watcher = {prefix, handlers};
      watchers.add(watcher);
      const missed = past.filter(({key, revision: at}) => at > after && key.startsWith(prefix));
      if (missed.length > 0) handlers.changed(missed);
      return () => watchers.delete(watcher);
    },
  };
}
