/** A clock on which time passes faster: given to server and machines in place of the system's, so that all their code stays. */
import {setTimeout as delay} from 'node:timers/promises';
import type {Clock} from '../../services/common/clock.ts';

/** `origin` (ms since the epoch) is where both clocks agree; processes that are given the same one agree on the time. */
export function scaledClock(origin: number, factor: number): Clock {
  return {
    now: () => new Date(origin + (performance.timeOrigin + performance.now() - origin) * factor),
    sleep: async (ms, signal) => {
      await delay(ms / factor, undefined, signal === undefined ? {} : {signal});
    },
  };
}
