/** How long signatures are good, and when they are made anew. README.md gives the reasons. */
import type {Role} from './keys/key.ts';

export type Lifetimes = Readonly<Record<Role, number>>;

const DAY = 86_400;

/** Seconds. */
export const defaultLifetimes: Lifetimes = {
  root: 365 * DAY,
  targets: 365 * DAY,
  snapshot: 28 * DAY,
  timestamp: 7 * DAY,
};

/** `expires` of TUF: UTC, whole seconds. */
export function expiry(now: Date, seconds: number): string {
  return new Date(now.getTime() + seconds * 1000).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/**
 * Whether a signature should be made anew. The timestamp after a seventh of its life, so that at any moment six days
 * are left: a server may be down over the longest weekend, and a clock may be days ahead. The snapshot after half.
 */
export function isDue(
  role: 'snapshot' | 'timestamp',
  expires: string,
  now: Date,
  lifetimes: Lifetimes,
): boolean {
  const left = (new Date(expires).getTime() - now.getTime()) / 1000;
  return left <= lifetimes[role] * (role === 'timestamp' ? 6 / 7 : 1 / 2);
}
