/**
 * One writer a group within a process, and group commit: all wishes that wait when the store is free are worked off on
 * one read and, if they change anything, one compare-and-swap. Other servers are met by trying again.
 */
import type {Clock} from '../common/clock.ts';
import {LockError} from './errors.ts';
import type {AuditEntry, LockSnapshot, LockStore} from './ports.ts';
import type {LockState} from './record.ts';
import {stateOf} from './snapshot.ts';

/** What a wish does to the group; without `next` it changes nothing. */
export interface Effect<Answer> {
  readonly answer: Answer;
  readonly next?: LockState | undefined;
  readonly audit?: AuditEntry;
  /** See LockChange. */
  readonly allGroups?: boolean;
}

/** Pure; may be called several times before its effect is stored once. */
export type Operation<Answer> = (state: LockState, snapshot: LockSnapshot) => Effect<Answer>;

export interface Done<Answer> {
  readonly answer: Answer;
  /** Revision of the change that this answer rests on, or of the read when nothing was changed. */
  readonly revision: string;
}

export interface GroupQueue {
  /** Throws {@link LockError}. */
  run<Answer>(group: string, machine: string, operation: Operation<Answer>): Promise<Done<Answer>>;
}

/** Wishes that one commit takes at most. */
const BATCH = 512;
/** Beyond this the server says that it is overloaded rather than let everybody wait. */
const MAX_WAITING = 20_000;
const ATTEMPTS = 12;
const FIRST_PAUSE_MS = 8;
const LONGEST_PAUSE_MS = 400;
/**
 * Every commit reads and writes all holders of the group, and etcd keeps each version until it compacts: a thousand
 * holders are 300 KB. So a group with many rests between commits, in which wishes gather; what it adds to the store stays
 * near half a megabyte a second, and nobody who is about to reboot notices half a second.
 */
const FEW_HOLDERS = 64;
const REST_MS_PER_HOLDER = 0.6;

interface Waiting {
  readonly machine: string;
  /** Works the wish off on `state`; returns the next state or undefined. */
  apply(state: LockState, snapshot: LockSnapshot): Effect<unknown>;
  settle(revision: string): void;
  fail(error: unknown): void;
}

/** `random` gives numbers from 0 to 1. */
export function createGroupQueue(store: LockStore, clock: Clock, random: () => number): GroupQueue {
  const waiting = new Map<string, Waiting[]>();
  const busy = new Set<string>();

  async function drain(group: string): Promise<void> {
    if (busy.has(group)) return;
    busy.add(group);
    try {
      for (let batch = take(group); batch.length > 0; batch = take(group)) {
        try {
          const rest = restMs(await workOff(group, batch));
          if (rest > 0) await clock.sleep(rest);
        } catch (error) {
          for (const wish of batch) wish.fail(error);
        }
      }
    } finally {
      busy.delete(group);
    }
  }

  /** No machine twice in one batch: its second wish must see the first one's revision. */
  function take(group: string): Waiting[] {
    const queue = waiting.get(group) ?? [];
    const batch: Waiting[] = [];
    const later: Waiting[] = [];
    const seen = new Set<string>();
    for (const wish of queue) {
      if (batch.length >= BATCH || seen.has(wish.machine)) later.push(wish);
      else batch.push(wish);
      seen.add(wish.machine);
    }
    if (later.length === 0) waiting.delete(group);
    else waiting.set(group, later);
    return batch;
  }

  /** Returns the number of holders that there are now. */
  async function workOff(group: string, batch: readonly Waiting[]): Promise<number> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (attempt > 0) await clock.sleep(pause(attempt, random()));
      const seen = await store.read();
      const before = stateOf(seen, group);
      let next = before;
      let allGroups = false;
      const audit: AuditEntry[] = [];
      for (const wish of batch) {
        const effect = wish.apply(next, seen);
        if (effect.next !== undefined) next = effect.next;
        if (effect.allGroups === true) allGroups = true;
        if (effect.audit !== undefined) audit.push(effect.audit);
      }
      const revision = next === before ? seen.revision : await store.change({seen, next, allGroups, audit});
      if (revision === undefined) continue;
      for (const wish of batch) wish.settle(revision);
      return next.holders.length;
    }
    throw new LockError('contended', `group ${group} was changed by others ${ATTEMPTS} times in a row`, {
      remedy: 'ask again',
    });
  }

  return {
    run<Answer>(group: string, machine: string, operation: Operation<Answer>): Promise<Done<Answer>> {
      return new Promise((resolve, reject) => {
        const queue = waiting.get(group) ?? [];
        if (queue.length >= MAX_WAITING) {
          reject(
            new LockError('contended', `${MAX_WAITING} requests wait for group ${group}`, {
              remedy: 'ask later',
            }),
          );
          return;
        }
        let answer: {readonly value: Answer} | undefined;
        queue.push({
          machine,
          apply: (state, snapshot) => {
            const effect = operation(state, snapshot);
            answer = {value: effect.answer};
            return effect;
          },
          settle: revision => {
            if (answer !== undefined) resolve({answer: answer.value, revision});
          },
          fail: reject,
        });
        waiting.set(group, queue);
        void drain(group);
      });
    },
  };
}

/** Milliseconds of rest after a commit of so many holders. Pure. */
export function restMs(holders: number): number {
  return Math.max(0, holders - FEW_HOLDERS) * REST_MS_PER_HOLDER;
}

function pause(attempt: number, random: number): number {
  const most = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
  return most * (0.5 + random / 2);
}
