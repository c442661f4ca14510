/** Waits for the grant to arrive, by whichever road. */
import type {Clock} from '../common/clock.ts';
import type {Layout} from './layout.ts';
import {readEnrolled} from './state.ts';

const POLL_MS = 200;

/** Returns true as soon as the machine is enrolled, false after `seconds`. */
export async function waitUntilEnrolled(layout: Layout, seconds: number, clock: Clock): Promise<boolean> {
  // Counted rather than read from the clock: time synchronisation makes it jump on a first boot.
  for (let left = seconds * 1000; ; left -= POLL_MS) {
    if ((await readEnrolled(layout)) !== undefined) return true;
    if (left <= 0) return false;
    await clock.sleep(Math.min(POLL_MS, left));
  }
}
