/** Moves rollouts on: whenever machines change, and when a soak or a deadline ends. Any server may; one write wins. */
import type {Clock} from '../common/clock.ts';
import {advance, nextMove} from './advance.ts';
import {encode} from './codec.ts';
import type {Fleet} from './fleet.ts';
import {keyOf} from './keys.ts';
import type {Store} from './ports.ts';

/** Steps of one group in one go: each wave has at most three. */
const MAX_STEPS = 200;

export interface Conductor {
  /** Looks at these groups soon. */
  touch(groups: Iterable<string>): void;
  /** Looks at every group that time may have moved. */
  tick(): void;
  /** Resolves when nothing is left to do now. */
  settle(): Promise<void>;
}

export function createConductor(
  store: Store,
  fleet: Fleet,
  clock: Clock,
  failed: (error: unknown) => void,
): Conductor {
  const waiting = new Set<string>();
  let running: Promise<void> | undefined;

  const run = async (): Promise<void> => {
    // The rest of this turn's changes first.
    await new Promise(resolve => setImmediate(resolve));
    for (const group of waiting) {
      waiting.delete(group);
      try {
        await move(group);
      } catch (error) {
        failed(error); // the next tick comes back to it
      }
    }
    running = undefined;
    if (waiting.size > 0) start();
  };
  const start = (): void => void (running ??= run());

  const move = async (group: string): Promise<void> => {
    if (fleet.unreadable.has(keyOf('rollouts', group))) return;
    for (let step = 0; step < MAX_STEPS; step += 1) {
      const next = advance(group, fleet, clock.now().getTime());
      if (next === undefined) return;
      const key = keyOf('rollouts', group);
      const value = encode(next);
      const revision = await store.commit([{key, value, expect: fleet.revisionOf('rollouts', group)}]);
      // Another server was faster: its write is on its way here, and comes back to this.
      if (revision === undefined) return;
      fleet.apply({key, value, revision});
    }
  };

  return {
    touch: groups => {
      for (const group of groups) waiting.add(group);
      if (waiting.size > 0) start();
    },
    tick: () => {
      const now = clock.now().getTime();
      for (const group of fleet.groups.keys()) {
        const rollout = fleet.rollouts.get(group);
        const due = rollout === undefined ? undefined : nextMove(rollout);
        const away = (fleet.crews.get(group)?.away.size ?? 0) > 0;
        if (away || (due !== undefined && due <= now) || advance(group, fleet, now) !== undefined)
          waiting.add(group);
      }
      if (waiting.size > 0) start();
    },
    settle: async () => {
      for (let current = running; current !== undefined; current = running) await current;
    },
  };
}
