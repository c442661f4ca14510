/** Keeps the view equal to the store: a listing, then the watch, and a new listing when the watch is lost. */
import type {Clock} from '../common/clock.ts';
import {overlayRoot, type OverlayItem} from '../common/contracts/overlay.ts';
import type {OverlayStore} from './ports.ts';
import {list} from './queue.ts';
import type {OverlayView} from './view.ts';

/** Between attempts to list again. */
const RETRY_MS = 1000;
/** How long a writer waits for the watch to show its own change; without it the next one only reads more. */
const REACH_MS = 500;

export interface FollowEvents {
  /** The view was listed anew: what was told before may be wrong. */
  readonly reset: (view: OverlayView) => void;
  readonly changed: (view: OverlayView, items: readonly OverlayItem[]) => void;
  readonly failed: (error: unknown) => void;
}

export interface Following {
  /** Undefined while no changes arrive. */
  current(): OverlayView | undefined;
  /** The last view, however old. */
  last(): OverlayView | undefined;
  reached(revision: bigint): Promise<void>;
  stop(): void;
}

/** Begins at once and goes on by itself, also when the store does not answer yet. */
export function follow(store: OverlayStore, events: FollowEvents, clock: Clock): Following {
  const stopped = new AbortController();
  const waiting = new Set<{readonly revision: bigint; readonly done: () => void}>();
  let view: OverlayView | undefined;
  let connected = false;
  let stopWatch = (): void => undefined;

  const wake = (): void => {
    for (const each of waiting) if (view !== undefined && each.revision <= view.revision) each.done();
  };
  const start = async (): Promise<void> => {
    const listed = await list(store);
    if (stopped.signal.aborted) return;
    view = listed;
    connected = true;
    events.reset(listed);
    wake();
    stopWatch = store.watch(overlayRoot, listed.revision, {
      changed: changes => {
        const before = listed.epoch;
        for (const change of changes) listed.apply(change);
        if (listed.epoch !== before) events.reset(listed);
        else {
          const keys = new Set(changes.map(({key}) => key));
          events.changed(
            listed,
            [...keys].flatMap(key => listed.itemOf(key) ?? []),
          );
        }
        wake();
      },
      connected: () => (connected = true),
      disconnected: () => (connected = false),
      lost: error => {
        connected = false;
        events.failed(error);
        void run();
      },
    });
  };
  const run = async (): Promise<void> => {
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
  void run();
  return {
    current: () => (connected ? view : undefined),
    last: () => view,
    reached: revision => {
      if (view !== undefined && view.revision >= revision) return Promise.resolve();
      return new Promise(resolve => {
        const timer = setTimeout(() => each.done(), REACH_MS);
        const each = {
          revision,
          done: () => {
            clearTimeout(timer);
            waiting.delete(each);
            resolve();
          },
        };
        waiting.add(each);
      });
    },
    stop: () => {
      stopped.abort();
      stopWatch();
    },
  };
}
