/** Which exchanges are worth another try, and when. Pure. */

export type Outcome =
  | {readonly kind: 'answer'; readonly status: number; readonly retryAfter: string | undefined}
  | {readonly kind: 'silence'};

const ATTEMPTS = 5;
const LONGEST_MS = 60_000;
/** Said before the request was worked on, so that even a POST may be sent again. */
const notWorkedOn = [429, 503];
/** Of a proxy that lost the service behind it. */
const unclear = [502, 504];

/**
 * Milliseconds to wait before the next attempt; undefined when the outcome is final. `attempt` counts from 1. `now`
 * serves Retry-After as a date (RFC 9110, 10.2.3). A request that changes something is not repeated when nobody knows
 * whether it was worked on: its step looks first and asks again.
 */
export function retryDelay(method: string, attempt: number, outcome: Outcome, now: Date): number | undefined {
  if (attempt >= ATTEMPTS) return undefined;
  const repeatable = method === 'GET' || method === 'HEAD' || method === 'DELETE' || method === 'PUT';
  const backoff = Math.min(500 * 2 ** (attempt - 1), LONGEST_MS);
  if (outcome.kind === 'silence') return repeatable && attempt < 3 ? backoff : undefined;
  const {status, retryAfter} = outcome;
  // Nova's rate limit of old answered 413.
  if (notWorkedOn.includes(status) || (status === 413 && retryAfter !== undefined)) {
    return retryAfterMs(retryAfter, now) ?? backoff;
  }
  return repeatable && unclear.includes(status) ? backoff : undefined;
}

function retryAfterMs(text: string | undefined, now: Date): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - now.getTime();
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), LONGEST_MS);
}
