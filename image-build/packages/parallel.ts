/** Works through a list, a few items at a time. */

/**
 * Calls `work` for every item, at most `limit` at once. After the first failure nothing new starts, the signal that
 * the running ones got is aborted, all of them are waited for, and that failure is thrown.
 */
export async function forEachParallel<Item>(
  items: readonly Item[],
  limit: number,
  signal: AbortSignal,
  work: (item: Item, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const joined = AbortSignal.any([signal, stop.signal]);
  const queue = items.values();
  let failure: {readonly error: unknown} | undefined;
  const worker = async () => {
    for (const item of queue) {
      if (failure !== undefined || joined.aborted) return;
      try {
        await work(item, joined);
      } catch (error) {
        failure ??= {error};
        stop.abort();
      }
    }
  };
  await Promise.all(Array.from({length: Math.min(limit, items.length)}, worker));
  if (failure !== undefined) throw failure.error;
  signal.throwIfAborted();
}
