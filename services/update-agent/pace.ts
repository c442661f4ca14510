/** How long until the next run. Pure. */

/** A retry comes sooner than a poll, but not at once: seconds. */
export const retrySeconds = 60;
/** Of a period, up to this share is added by chance, so that a fleet that started together does not call together. */
export const jitterShare = 0.1;
/** An update that was put off waits twice as long each time, this often. */
export const maxPutOffDoublings = 5;

export interface Pace {
  readonly wake: 'poll' | 'retry' | 'now' | 'never';
  readonly pollSeconds: number;
  readonly putOffs: number;
  /** Between 0 and 1. */
  readonly random: number;
}

/** Seconds; undefined for `never`: a reboot is on its way. */
export function nextWakeSeconds({wake, pollSeconds, putOffs, random}: Pace): number | undefined {
  if (wake === 'never') return undefined;
  if (wake === 'now') return 0;
  if (wake === 'retry') return jitter(Math.min(retrySeconds, pollSeconds), random);
  return jitter(Math.min(pollSeconds * 2 ** Math.min(putOffs, maxPutOffDoublings), 86_400), random);
}

function jitter(seconds: number, random: number): number {
  return Math.round(seconds * (1 + jitterShare * random));
}
