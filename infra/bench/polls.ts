/**
 * What a poll costs the update server, beside Nebraska on PostgreSQL: both know 100,000 machines, are kept to one core,
 * and are asked by the same clients over plain HTTP, one after the other.
 */
import {availableParallelism, loadavg} from 'node:os';
import {describeError} from '../../services/common/errors.ts';
import {BenchError} from './errors.ts';
import {startHawser} from './polls-hawser.ts';
import {measureLoad, type LoadFigures} from './polls-load.ts';
import {startNebraska} from './polls-nebraska.ts';
import type {PolledServer} from './polls-server-kind.ts';

export interface PollsBench {
  readonly machines: number;
  readonly seconds: number;
  readonly rate: number;
}

export const pollsBench: PollsBench = {machines: 100_000, seconds: 15, rate: 1000};

export interface PollFigures extends LoadFigures {
  /** Of server and store together. */
  readonly perCpuSecond: number;
}

export interface ServerPolls {
  /** As fast as it goes, of machines that were heard a moment ago. */
  readonly known: PollFigures;
  /** The same of machines whose poll has to be written. */
  readonly written: PollFigures;
  readonly atRate: PollFigures;
}

export interface PollsFigures {
  readonly bench: PollsBench;
  readonly hawser: ServerPolls;
  /** Or why it was not to be had. */
  readonly nebraska: ServerPolls | {readonly missing: string};
  readonly load: number;
}

export async function measurePolls(
  bench: PollsBench,
  cache: string,
  signal: AbortSignal,
): Promise<PollsFigures> {
  // The clients have the other core, where there is one.
  const pinned = availableParallelism() > 1 ? ['taskset', '-c', '1'] : [];
  const hawser = await measureServer(bench, await startHawser(bench.machines, pinned), signal);
  const nebraska = await nebraskaPolls(bench, cache, pinned, signal);
  return {bench, hawser, nebraska, load: loadavg()[0] ?? 0};
}

async function nebraskaPolls(
  bench: PollsBench,
  cache: string,
  pinned: readonly string[],
  signal: AbortSignal,
): Promise<PollsFigures['nebraska']> {
  try {
    const server = await startNebraska({machines: bench.machines, cache, pinned, signal});
    return await measureServer(bench, server, signal);
  } catch (error) {
    if (!(error instanceof BenchError) || error.code !== 'missing-tool') throw error;
    return {missing: describeError(error)};
  }
}

async function measureServer(
  {machines, seconds, rate}: PollsBench,
  started: PolledServer,
  signal: AbortSignal,
): Promise<ServerPolls> {
  await using server = started;
  const half = Math.floor(machines / 2);
  const measure = async (who: readonly [number, number], wish: {rate?: number; seconds?: number} = {}) => {
    const {port, expect} = server;
    const poll = (machine: number) => server.poll(machine);
    const before = server.cpuSeconds();
    const figures = await measureLoad({port, poll, expect, machines: who, seconds, ...wish}, signal);
    return {...figures, perCpuSecond: figures.polls / (server.cpuSeconds() - before)};
  };
  // Compiled and cached first, as in a server that has been up for a while.
  await measure([0, half], {seconds: 3});
  return {
    known: await measure([0, half]),
    atRate: await measure([0, half], {rate}),
    written: await measure([half, machines]),
  };
}

/** The lines of the report. */
export function renderPolls({bench, hawser, nebraska, load}: PollsFigures): string[] {
  const other = 'missing' in nebraska ? undefined : nebraska;
  const line = (what: string, ...cells: readonly string[]) =>
    `${what.padEnd(52)}${cells.map(cell => cell.padStart(10)).join('')}`;
  const row = (what: string, of: (polls: ServerPolls) => number, digits = 0) => {
    const [ours, theirs] = [of(hawser), other === undefined ? undefined : of(other)];
    const ratio = theirs === undefined || theirs === 0 ? '-' : (ours / theirs).toFixed(2);
    return line(what, ours.toFixed(digits), theirs?.toFixed(digits) ?? '-', ratio);
  };
  return [
    line(
      `polls: ${bench.machines} machines, one core, load ${load.toFixed(1)}`,
      'Hawser',
      'Nebraska',
      'ratio',
    ),
    row('polls a second of CPU, server and store', ({known}) => known.perCpuSecond),
    row('the same where each poll is written', ({written}) => written.perCpuSecond),
    row('polls a second', ({known}) => known.perSecond),
    row('polls a second where each is written', ({written}) => written.perSecond),
    row(`at ${bench.rate} polls a second: answered, /s`, ({atRate}) => atRate.perSecond),
    row('  p50, ms', ({atRate}) => atRate.p50, 1),
    row('  p99, ms', ({atRate}) => atRate.p99, 1),
    row('failed', ({known, written, atRate}) => known.failed + written.failed + atRate.failed),
    ...('missing' in nebraska ? [`Nebraska: ${nebraska.missing}`] : []),
  ];
}
