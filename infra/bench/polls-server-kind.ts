/** A server that machines poll, whichever it is. */
import type {Poll} from './polls-load.ts';

export interface PolledServer extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
  /** What a good answer holds. */
  readonly expect: string;
  poll(machine: number): Poll;
  /** Of the server and of its store, since they were started. */
  cpuSeconds(): number;
}

/**
 * Of the machines that a server knows, the first half polled a moment ago; the others were last heard an hour ago, so
 * that their next poll has to be written.
 */
export const silentSeconds = 3600;
