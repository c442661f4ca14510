/**
 * Reads ranges of repository files whatever happens on the way: cut connections go on where they stopped, servers that
 * ignore Range or lie about it are read around or left, and mirrors take turns. What arrives is not trusted here.
 */
import {systemClock, type Clock} from '../../common/clock.ts';
import {describeError} from '../../common/errors.ts';
import {PayloadError} from '../../common/payload/errors.ts';
import type {Extent} from '../../common/payload/layout.ts';
import type {FetchAnswer, RepositoryFetch} from '../../common/payload/ports.ts';
import {createBucket, take} from '../../common/payload/token-bucket.ts';

export interface RangeReader {
  /** The bytes of `extent` in `path`, in chunks. */
  read(path: string, extent: Extent, signal: AbortSignal): AsyncGenerator<Uint8Array>;
  /** What came last was damaged: the next read starts at the next repository. */
  distrust(): void;
  readonly fetchedBytes: number;
  readonly requests: number;
}

export interface RangeReaderOptions {
  readonly repositories: readonly string[];
  readonly fetch: RepositoryFetch;
  readonly bytesPerSecond?: number | undefined;
  readonly clock?: Clock;
}

/** Attempts without a single byte between them, over all repositories, before a read fails. */
const MAX_FRUITLESS = 8;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 20_000;

export function createRangeReader(options: RangeReaderOptions): RangeReader {
  const {repositories, fetch} = options;
  const clock = options.clock ?? systemClock;
  let current = 0;
  let fetchedBytes = 0;
  let requests = 0;
  let bucket =
    options.bytesPerSecond === undefined
      ? undefined
      : createBucket(options.bytesPerSecond, clock.now().getTime());
  const pace = async (bytes: number, signal: AbortSignal) => {
    if (bucket === undefined) return;
    const taken = take(bucket, bytes, clock.now().getTime());
    bucket = taken.bucket;
    if (taken.waitMs > 0) await clock.sleep(taken.waitMs, signal);
  };

  async function* read(path: string, extent: Extent, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const end = extent.offset + extent.size;
    let at = extent.offset;
    let fruitless = 0;
    let missing = 0;
    while (at < end) {
      signal.throwIfAborted();
      const before = at;
      let why: unknown;
      try {
        const base = repositories[current % repositories.length] ?? '';
        requests += 1;
        const answer = await fetch({
          url: `${base.replace(/\/+$/, '')}/${path}`,
          range: {first: at, last: end - 1},
          signal,
        });
        for await (const chunk of within(answer, at, end)) {
          fetchedBytes += chunk.received;
          await pace(chunk.received, signal);
          if (chunk.bytes.length === 0) continue;
          at += chunk.bytes.length;
          yield chunk.bytes;
        }
        if (at < end) why = new Error('the answer ended early');
      } catch (error) {
        if (signal.aborted) throw error;
        why = error;
      }
      if (at >= end) return;
      if (why instanceof AbsentError) missing += 1;
      fruitless = at > before ? 0 : fruitless + 1;
      if (missing >= repositories.length || fruitless >= MAX_FRUITLESS) throw giveUp(path, why, missing > 0);
      // Where something came, going on there is best; where nothing did, another may have it.
      if (at === before) current += 1;
      if (fruitless > 0)
        await clock.sleep(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** fruitless), signal);
    }
  }

  return {
    read,
    distrust: () => {
      current += 1;
    },
    get fetchedBytes() {
      return fetchedBytes;
    },
    get requests() {
      return requests;
    },
  };
}

class AbsentError extends Error {}

/** The part of an answer from `from` to `end`; `received` also counts what a server sent unasked. */
async function* within(
  answer: FetchAnswer,
  from: number,
  end: number,
): AsyncGenerator<{bytes: Uint8Array; received: number}> {
  let position = startOf(answer, from);
  for await (const chunk of answer.body) {
    const [first, last] = [Math.max(from - position, 0), Math.min(end - position, chunk.length)];
    position += chunk.length;
    yield {bytes: last > first ? chunk.subarray(first, last) : new Uint8Array(), received: chunk.length};
    // Leaving the loop destroys the body, and with it the connection of a server that sends more than was asked.
    if (position >= end && !endsAt(answer, end)) return;
  }
}

function startOf({status, headers}: FetchAnswer, from: number): number {
  if (status === 200) return 0; // RFC 9110, 14.2: a server may ignore Range
  if (status === 206) {
    // One that names another place than was asked for is not believed about its bytes either.
    const start = /^bytes (\d+)-/.exec(headers['content-range'] ?? '')?.[1];
    if (start === undefined || Number(start) !== from)
      throw new Error('the server answers with another range');
    return from;
  }
  if (status === 404 || status === 403 || status === 410 || status === 416)
    throw new AbsentError(`the server answers ${status}`);
  throw new Error(`the server answers ${status}`);
}

/** An answer that says it ends where we stop is read to its end, so that its connection can be used again. */
function endsAt({status, headers}: FetchAnswer, end: number): boolean {
  if (status !== 206) return false;
  return /^bytes \d+-(\d+)\//.exec(headers['content-range'] ?? '')?.[1] === String(end - 1);
}

function giveUp(path: string, why: unknown, absent: boolean): PayloadError {
  return absent
    ? new PayloadError('payload-missing', `no repository has ${path} (${describeError(why)})`, {
        remedy: 'the release may have been withdrawn: ask the update server again',
        cause: why,
      })
    : new PayloadError('repository-unreachable', `no repository could be read: ${describeError(why)}`, {
        remedy: 'check the network and the repository; what has arrived is kept',
        cause: why,
      });
}
