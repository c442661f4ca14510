/**
 * Polls a second of `POST /v1/check`: a server in a process of its own over a real etcd with a registered fleet, and a
 * bounded loop of kept-alive connections here. `node infra/bench/polls.ts [MACHINES] [SECONDS]`.
 */
import {once} from 'node:events';
import {Agent, request} from 'node:http';
import {fork} from 'node:child_process';
import {setTimeout as sleep} from 'node:timers/promises';
import {reportOf} from './polls-report.ts';

const machines = Number(process.argv[2] ?? 100_000);
const seconds = Number(process.argv[3] ?? 15);
const CONNECTIONS = 32;

function poll(port: number, agent: Agent, number: number): Promise<number> {
  const text = JSON.stringify(reportOf(number));
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port,
        agent,
        method: 'POST',
        path: '/v1/check',
        headers: {
          'content-type': 'application/json',
          'content-length': text.length,
          'x-machine': String(number),
        },
      },
      incoming => {
        incoming.resume();
        incoming.on('end', () => resolve(incoming.statusCode ?? 0));
      },
    );
    outgoing.on('error', reject);
    outgoing.end(text);
  });
}

/** As fast as it goes, or `rate` a second: then a poll is due at its time, and one that begins late counts as late. */
async function measure(port: number, rate: number | undefined): Promise<string> {
  const agent = new Agent({keepAlive: true, maxSockets: CONNECTIONS});
  const times: number[] = [];
  let failed = 0;
  let begun = 0;
  const start = performance.now();
  const end = start + seconds * 1000;
  const worker = async (): Promise<void> => {
    while (performance.now() < end) {
      const number = (begun * 7919) % machines;
      const due = rate === undefined ? performance.now() : start + (begun * 1000) / rate;
      begun += 1;
      const wait = due - performance.now();
      if (wait > 0) await sleep(wait);
      if ((await poll(port, agent, number)) === 200) times.push(performance.now() - due);
      else failed += 1;
    }
  };
  await Promise.all(Array.from({length: CONNECTIONS}, worker));
  agent.destroy();
  const took = (performance.now() - start) / 1000;
  times.sort((a, b) => a - b);
  const at = (share: number) => (times[Math.floor(times.length * share)] ?? 0).toFixed(2);
  return `${Math.round(times.length / took)} polls/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ${failed} failed`;
}

const server = fork(new URL('./polls-server.ts', import.meta.url), [String(machines)]);
const [ready] = (await once(server, 'message')) as [{port: number; loaded: number; memory: number}];
process.stdout.write(
  `${machines} machines registered; listed in ${ready.loaded} ms, ${ready.memory} MiB resident\n`,
);
process.stdout.write(`as fast as it goes: ${await measure(ready.port, undefined)}\n`);
process.stdout.write(`1,000 a second:     ${await measure(ready.port, 1000)}\n`);
const last = once(server, 'message');
server.send('end');
const [used] = (await last) as [{cpu: number; memory: number}];
process.stdout.write(
  `server: ${used.cpu.toFixed(1)} s of CPU in the measured time, ${used.memory} MiB resident\n`,
);
