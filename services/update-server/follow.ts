/** Keeps the fleet in memory equal to the store: a listing, then the watch, and a new listing when the watch is lost. */
import type {Clock} from '../common/clock.ts';
import {stateRoot} from '../common/contracts/policy.ts';
import type {Fleet} from './fleet.ts';
import {kinds, prefixOf} from './keys.ts';
import type {Store} from './ports.ts';

/** Between attempts to list again. */
const RETRY_MS = 1000;

export interface FollowEvents {
  /** Groups whose rollout may move. */
  readonly touched: (groups: Iterable<string>) => void;
  readonly failed: (error: unknown) => void;
}

export interface Following {
  /** Since when (ms) no changes arrive; undefined while they do. */
  staleSince(): number | undefined;
  stop(): void;
}

/** Resolves when the fleet has been listed once. Throws `store-unavailable` if that fails. */
export async function follow(
  store: Store,
  fleet: Fleet,
  events: FollowEvents,
  clock: Clock,
): Promise<Following> {
  const stopped = new AbortController();
  let stale: number | undefined;
  let stopWatch = (): void => undefined;
  const lose = (): void => {
    stale ??= clock.now().getTime();
  };

  const start = async (): Promise<void> => {
    const revision = await relist(store, fleet);
    if (stopped.signal.aborted) return;
    events.touched(fleet.groups.keys());
    stopWatch = store.watch(stateRoot, revision, {
      changed: changes => {
        const groups = new Set<string>();
        for (const change of changes) for (const group of fleet.apply(change)) groups.add(group);
        if (groups.size > 0) events.touched(groups);
      },
      connected: () => (stale = undefined),
      disconnected: lose,
      lost: error => {
        lose();
        events.failed(error);
        void restart();
      },
    });
  };

  const restart = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      try {
        await start();
        return;
      } catch (error) {
        events.failed(error);
        await clock.sleep(RETRY_MS, stopped.signal).catch(() => undefined);
      }
    }
  };

  await start();
  return {
    staleSince: () => stale,
    stop: () => {
      stopped.abort();
      stopWatch();
    },
  };
}

/** One instant of all kinds that are kept in memory. Events and audit are many and are left where they are. */
async function relist(store: Store, fleet: Fleet): Promise<bigint> {
  const [first, ...others] = kinds;
  const {entries, revision} = await store.list(prefixOf(first));
  const all = [...entries];
  for (const kind of others) all.push(...(await store.list(prefixOf(kind), revision)).entries);
  fleet.reset(all);
  return revision;
}
