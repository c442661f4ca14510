/** Waiting for what AWS only promises. */
import type {DriverContext} from '../../driver.ts';
import {stopIfInterrupted} from '../../errors.ts';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5000;

/** What waiting needs of the context that the core lends. */
export type Waiting = Pick<DriverContext, 'clock' | 'signal'>;

/** Calls `work` with growing pauses until it says true; false when `ms` are over. Throws `interrupted` after ^C. */
export async function until(
  {clock, signal}: Waiting,
  ms: number,
  work: () => Promise<boolean>,
): Promise<boolean> {
  const deadline = clock.now().getTime() + ms;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS)) {
    stopIfInterrupted(signal);
    if (await work()) return true;
    if (clock.now().getTime() >= deadline) return false;
    await clock.sleep(pause, signal).catch(() => stopIfInterrupted(signal));
  }
}
