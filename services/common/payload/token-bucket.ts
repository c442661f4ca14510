/** A bounded rate as arithmetic: no clock in here. */

export interface Bucket {
  readonly bytesPerSecond: number;
  /** Bytes that may be sent at once after a pause. */
  readonly burst: number;
  readonly tokens: number;
  /** Milliseconds. */
  readonly at: number;
}

export function createBucket(bytesPerSecond: number, now: number): Bucket {
  const burst = Math.max(16_384, bytesPerSecond / 4);
  return {bytesPerSecond, burst, tokens: burst, at: now};
}

/** Takes `bytes`, if need be on credit, and says how long to wait until the credit is paid back. */
export function take(bucket: Bucket, bytes: number, now: number): {bucket: Bucket; waitMs: number} {
  // A clock that was set back earns nothing, and costs nothing.
  const earned = (Math.max(0, now - bucket.at) * bucket.bytesPerSecond) / 1000;
  const tokens = Math.min(bucket.burst, bucket.tokens + earned) - bytes;
  return {
    bucket: {...bucket, tokens, at: now},
    waitMs: tokens >= 0 ? 0 : Math.ceil((-tokens * 1000) / bucket.bytesPerSecond),
  };
}
