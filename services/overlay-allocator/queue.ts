/**
 * One writer in each server: all wishes that wait go into one transaction. It rests on the view that the watch keeps; a
 * refusal, and a guard that did not hold, are looked at again on a fresh listing.
 */
import type {Clock} from '../common/clock.ts';
import {overlayRoot} from '../common/contracts/overlay.ts';
import type {Decision} from './decide.ts';
import {AllocatorError} from './errors.ts';
import type {Guard, OverlayStore, Write} from './ports.ts';
import {OverlayView} from './view.ts';

type Decide = (view: OverlayView, now: Date) => Decision<unknown>;

interface Wish {
  readonly decide: Decide;
  readonly done: (result: unknown) => void;
  readonly failed: (error: unknown) => void;
}

export interface WishQueue {
  /** Resolves when the change is in the store. Throws what `decide` throws on a fresh listing, `unreachable`, `contended`. */
  change<Result>(decide: (view: OverlayView, now: Date) => Decision<Result>): Promise<Result>;
}

const MAX_ATTEMPTS = 8;
/** Wishes of one transaction; a wish makes a handful of operations, and etcd allows 128. */
const MAX_BATCH = 24;
const MAX_OPERATIONS = 120;

export interface QueueDeps {
  readonly store: OverlayStore;
  /** As far as the watch has come; undefined while it is not connected. */
  readonly current: () => OverlayView | undefined;
  /** Resolves when the watch has come to this revision, or after a while. */
  readonly reached: (revision: bigint) => Promise<void>;
  readonly clock: Clock;
  readonly random: () => number;
}

export function createQueue(deps: QueueDeps): WishQueue {
  const waiting: Wish[] = [];
  let running = false;
  const work = async (): Promise<void> => {
    if (running) return;
    running = true;
    try {
      for (let batch = waiting.splice(0, MAX_BATCH); batch.length > 0; batch = waiting.splice(0, MAX_BATCH))
        await carryOut(deps, batch);
    } finally {
      running = false;
    }
  };
  return {
    change: <Result>(decide: (view: OverlayView, now: Date) => Decision<Result>) => {
      const result = new Promise<Result>((done, failed) =>
        // The decision's own result comes back.
        waiting.push({decide, done: value => done(value as Result), failed}),
      );
      void work();
      return result;
    },
  };
}

async function carryOut(deps: QueueDeps, batch: readonly Wish[]): Promise<void> {
  let left: readonly Wish[] = batch;
  try {
    for (let attempt = 0; left.length > 0 && attempt < MAX_ATTEMPTS; attempt++) {
      if (attempt > 1) await deps.clock.sleep(deps.random() * 20 * 2 ** attempt);
      const known = attempt === 0 ? deps.current() : undefined;
      const view = known ?? (await list(deps.store));
      left = await attemptAll(deps, left, view, known === undefined);
    }
    for (const wish of left)
      wish.failed(
        new AllocatorError('contended', 'others changed the overlay again and again', {remedy: 'try again'}),
      );
  } catch (error) {
    for (const wish of left) wish.failed(error);
  }
}

/** Returns the wishes to try again. `fresh`: a refusal on this view is final. */
async function attemptAll(
  {store, reached, clock}: QueueDeps,
  wishes: readonly Wish[],
  view: OverlayView,
  fresh: boolean,
): Promise<readonly Wish[]> {
  const draft = view.draft();
  const writes = new Map<string, Write>();
  const [keys, prefixes] = [new Set<string>(), new Set<string>()];
  const again: Wish[] = [];
  const refused = new Set<Wish>();
  let alone = false;
  const made: {readonly wish: Wish; readonly result: unknown}[] = [];
  for (const wish of wishes) {
    try {
      const decision = wish.decide(draft, clock.now());
      const wide = decision.writes.some(write => 'prefix' in write);
      const tooMany = writes.size + decision.writes.length > MAX_OPERATIONS;
      if (alone || (made.length > 0 && (wide || tooMany))) {
        again.push(wish);
        continue;
      }
      alone = wide;
      for (const write of decision.writes) {
        draft.write(write);
        writes.set('prefix' in write ? write.prefix : write.key, write);
      }
      for (const key of decision.keys) keys.add(key);
      for (const prefix of decision.prefixes) prefixes.add(prefix);
      made.push({wish, result: decision.result});
    } catch (error) {
      if (!fresh) again.push(wish);
      else {
        refused.add(wish);
        wish.failed(error);
      }
    }
  }
  if (writes.size > 0) {
    const guards: Guard[] = [
      ...[...keys].map(key => ({key, revision: view.revisions.get(key) ?? 0n})),
      ...[...prefixes].map(prefix => ({prefix, unchangedSince: view.revision})),
    ];
    const revision = await store.commit([...writes.values()], guards);
    if (revision === undefined) return wishes.filter(wish => !refused.has(wish));
    await reached(revision);
  }
  for (const {wish, result} of made) wish.done(result);
  return again;
}

export async function list(store: OverlayStore): Promise<OverlayView> {
  const {entries, revision} = await store.list(overlayRoot);
  return OverlayView.of(entries, revision);
}
