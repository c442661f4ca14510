/** A token bucket for each caller, in bounded memory. Pure but for the map it keeps; time is handed in. */

export interface RateLimit {
  /** Requests that a caller may make at once. */
  readonly burst: number;
  readonly perSecond: number;
  /** Callers remembered; the one not seen for longest is forgotten first. */
  readonly callers: number;
}

interface Bucket {
  tokens: number;
  seenAt: number;
}

/** Returns a function that takes a caller and the time in milliseconds and says whether the caller may go on. */
export function createRateLimiter(limit: RateLimit): (caller: string, nowMs: number) => boolean {
  const buckets = new Map<string, Bucket>();
  return (caller, nowMs) => {
    const known = buckets.get(caller) ?? {tokens: limit.burst, seenAt: nowMs};
    const refilled = known.tokens + (Math.max(0, nowMs - known.seenAt) / 1000) * limit.perSecond;
    const tokens = Math.min(limit.burst, refilled);
    const allowed = tokens >= 1;
    // Deleted and set again: a Map keeps insertion order, so the first key is always the longest unseen.
    buckets.delete(caller);
    buckets.set(caller, {tokens: allowed ? tokens - 1 : tokens, seenAt: nowMs});
    const oldest = buckets.keys().next();
    if (buckets.size > limit.callers && oldest.done !== true) buckets.delete(oldest.value);
    return allowed;
  };
}
