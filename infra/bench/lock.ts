/**
 * The reboot lock under 1,000 machines that all want a slot: Hawser's server beside airlock's method, on one etcd, over
 * the same protocol (FleetLock) and by the same clients.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {Agent, request} from 'node:http';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {startEtcd} from '../../test/support/etcd.ts';
import {group} from '../labs/etcd-faults/group.ts';
import {jainIndex} from './statistics.ts';

export interface LockFigures {
  /** Slots taken and given back, a second. */
  readonly turnsPerSecond: number;
  /** Seconds from a machine's first question to its slot: the longest, also of those that still waited at the end. */
  readonly longestWait: number;
  /** 1 when all machines had as many turns, 1/machines when one had them all. */
  readonly jain: number;
  /** Machines that had no turn at all. */
  readonly without: number;
  /** Answers that were neither a grant nor "wait", a second. */
  readonly faultsPerSecond: number;
}

export interface LockBench {
  readonly clients: number;
  readonly slots: number;
  readonly seconds: number;
}

export const lockBench: LockBench = {clients: 1000, slots: 10, seconds: 30};

/** Both on a fresh etcd each, one after the other. */
export async function measureLock(
  bench: LockBench,
  signal: AbortSignal,
): Promise<{hawser: LockFigures; airlock: LockFigures}> {
  const script = (...path: string[]) => join(import.meta.dirname, '..', ...path);
  const airlock = await measureServer(bench, signal, '127.0.0.78', url => [
    script('bench', 'airlock-method.ts'),
    '127.0.0.78',
    '8080',
    url,
    `${bench.slots}`,
  ]);
  const hawser = await measureServer(bench, signal, '127.0.0.77', url => [
    script('labs', 'etcd-faults', 'lock-server.ts'),
    '127.0.0.77',
    url,
    `${bench.slots}`,
    `${bench.clients}`,
  ]);
  return {hawser, airlock};
}

async function measureServer(
  bench: LockBench,
  signal: AbortSignal,
  host: string,
  argv: (etcd: string) => readonly string[],
): Promise<LockFigures> {
  await using etcd = await startEtcd();
  const server = spawn(process.execPath, [...argv(etcd.url)], {stdio: 'ignore'});
  try {
    await untilServed(host, signal);
    return await load(bench, host, signal);
  } finally {
    const exit = once(server, 'exit');
    server.kill('SIGKILL');
    await exit;
  }
}

/** A machine that waits asks again after half a second to one and a half, as many as there are. */
async function load({clients, seconds}: LockBench, host: string, signal: AbortSignal): Promise<LockFigures> {
  const agent = new Agent({keepAlive: true, maxSockets: 512});
  const begun = performance.now();
  const end = begun + seconds * 1000;
  const turns = Array.from({length: clients}, () => 0);
  let longestWait = 0;
  let faults = 0;
  const going = () => performance.now() < end && !signal.aborted;
  const one = async (index: number) => {
    const id = `m${index}`;
    await delay(Math.random() * 1000);
    while (going()) {
      const asked = performance.now();
      let status = 0;
      while (going() && (status = await post(agent, host, 'pre-reboot', id)) !== 200) {
        if (status !== 409) faults++;
        await delay(500 + Math.random() * 1000);
      }
      longestWait = Math.max(longestWait, performance.now() - asked);
      if (status !== 200) return;
      while ((status = await post(agent, host, 'steady-state', id)) !== 200 && going()) faults++;
      turns[index] = (turns[index] ?? 0) + 1;
    }
  };
  await Promise.all(turns.map((_, index) => one(index)));
  agent.destroy();
  signal.throwIfAborted();
  const took = (performance.now() - begun) / 1000;
  return {
    turnsPerSecond: turns.reduce((sum, each) => sum + each, 0) / took,
    longestWait: longestWait / 1000,
    jain: jainIndex(turns),
    without: turns.filter(each => each === 0).length,
    faultsPerSecond: faults / took,
  };
}

function post(agent: Agent, host: string, path: string, id: string): Promise<number> {
  return new Promise(resolve => {
    const body = JSON.stringify({client_params: {id, group}});
    const headers = {'content-type': 'application/json', 'fleet-lock-protocol': 'true', 'x-machine': id};
    const sent = request(
      {agent, host, port: 8080, method: 'POST', path: `/v1/${path}`, headers, timeout: 30_000},
      answer => {
        answer.resume();
        answer.on('end', () => resolve(answer.statusCode ?? 0));
        answer.on('error', () => resolve(0));
      },
    );
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => resolve(0));
    sent.end(body);
  });
}

async function untilServed(host: string, signal: AbortSignal): Promise<void> {
  const agent = new Agent();
  for (let attempt = 0; attempt < 300; attempt++) {
    signal.throwIfAborted();
    if ((await post(agent, host, 'steady-state', 'nobody')) === 200) return;
    await delay(100);
  }
  throw new Error(`no lock server on ${host}`);
}

/** The lines of the report. */
export function renderLock({hawser, airlock}: {hawser: LockFigures; airlock: LockFigures}): string[] {
  const {clients, slots, seconds} = lockBench;
  const cells = (what: string, values: readonly string[]) =>
    `${what.padEnd(44)}  ${values.map(value => value.padStart(9)).join('  ')}`;
  const row = (what: string, of: (figures: LockFigures) => number, digits: number) => {
    const [ours, theirs] = [of(hawser), of(airlock)];
    const ratio = theirs === 0 ? '-' : (ours / theirs).toFixed(2);
    return cells(what, [ours.toFixed(digits), theirs.toFixed(digits), ratio]);
  };
  return [
    cells(`lock: ${clients} machines, ${slots} slots, ${seconds} s`, ['Hawser', 'airlock*', 'ratio']),
    row('slots taken and given back, /s', figures => figures.turnsPerSecond, 1),
    row('longest wait, s', figures => figures.longestWait, 1),
    row("fairness (Jain's index)", figures => figures.jain, 3),
    row('machines without a turn', figures => figures.without, 0),
    row('answers that are faults, /s', figures => figures.faultsPerSecond, 1),
    '* its method on the same runtime: the program is not to be had from the Go module proxy',
  ];
}
