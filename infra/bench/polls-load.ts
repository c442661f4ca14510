/** Polls over kept-alive connections: as fast as they are answered, or so many a second. */
import {Agent, request} from 'node:http';
import {setTimeout as sleep} from 'node:timers/promises';

export interface Poll {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface LoadWish {
  readonly port: number;
  /** The poll of one machine. */
  readonly poll: (machine: number) => Poll;
  /** Machines that poll: from the first up to and without the second number. */
  readonly machines: readonly [number, number];
  readonly seconds: number;
  /** Then a poll is due at its time, and one that begins late counts as late. */
  readonly rate?: number;
  /** What a good answer holds. */
  readonly expect: string;
}

export interface LoadFigures {
  readonly polls: number;
  readonly failed: number;
  readonly perSecond: number;
  /** ms */
  readonly p50: number;
  readonly p99: number;
}

const CONNECTIONS = 32;
/** A step without a common divisor with the number of machines visits each of them once in a round. */
const STEP = 7919;

export async function measureLoad(wish: LoadWish, signal: AbortSignal): Promise<LoadFigures> {
  const {machines, seconds, rate} = wish;
  const agent = new Agent({keepAlive: true, maxSockets: CONNECTIONS});
  const times: number[] = [];
  let failed = 0;
  let begun = 0;
  const start = performance.now();
  const end = start + seconds * 1000;
  const worker = async (): Promise<void> => {
    while (performance.now() < end && !signal.aborted) {
      const [first, last] = machines;
      const machine = first + ((begun * STEP) % (last - first));
      const due = rate === undefined ? performance.now() : start + (begun * 1000) / rate;
      begun += 1;
      const wait = due - performance.now();
      if (wait > 0) await sleep(wait);
      if (await send(wish, machine, agent)) times.push(performance.now() - due);
      else failed += 1;
    }
  };
  await Promise.all(Array.from({length: CONNECTIONS}, worker));
  agent.destroy();
  signal.throwIfAborted();
  const took = (performance.now() - start) / 1000;
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)] ?? 0;
  return {polls: times.length, failed, perSecond: times.length / took, p50: at(0.5), p99: at(0.99)};
}

/** Whether the answer was good. */
function send({port, poll, expect}: LoadWish, machine: number, agent: Agent): Promise<boolean> {
  const {path, headers, body} = poll(machine);
  return new Promise(resolve => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port,
        agent,
        method: 'POST',
        path,
        headers: {...headers, 'content-length': Buffer.byteLength(body)},
      },
      incoming => {
        let text = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => (text += chunk));
        incoming.on('end', () => resolve(incoming.statusCode === 200 && text.includes(expect)));
        incoming.on('error', () => resolve(false));
      },
    );
    outgoing.on('error', () => resolve(false));
    outgoing.end(body);
  });
}
