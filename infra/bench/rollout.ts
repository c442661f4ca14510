/**
 * A rollout of 10,000 simulated machines through the real server and a real etcd, on a clock that runs faster: how long
 * it takes beside the least time that its plan allows.
 */
import {fork, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {loadavg} from 'node:os';
import type {MachineFigures} from './rollout-machines.ts';
import {minimumSeconds, planFor, type RolloutPlan} from './rollout-plan.ts';
import type {ServerFigures} from './rollout-server.ts';

export interface RolloutBench {
  readonly machines: number;
  /** Seconds of the fleet that pass in one of ours. */
  readonly factor: number;
}

export const rolloutBench: RolloutBench = {machines: 10_000, factor: 6};

export interface RolloutFigures {
  readonly plan: RolloutPlan;
  readonly factor: number;
  readonly minimumSeconds: number;
  /** From the promotion to `completed`, as the server wrote it. */
  readonly seconds: number;
  /** From the promotion: when each wave opened, and when all of it was done. */
  readonly waves: readonly {readonly name: string; readonly openedAt: number; readonly doneAt: number}[];
  readonly realSeconds: number;
  readonly load: number;
  readonly server: ServerFigures;
  readonly machines: MachineFigures;
}

export async function measureRollout(
  {machines, factor}: RolloutBench,
  signal: AbortSignal,
): Promise<RolloutFigures> {
  const plan = planFor(machines);
  const clock = [JSON.stringify(plan), String(Date.now()), String(factor)];
  const server = child('rollout-server.ts', clock);
  let fleet: ChildProcess | undefined;
  try {
    const {port} = await message<{port: number}>(server, signal);
    fleet = child('rollout-machines.ts', [...clock, String(port)]);
    await message<string>(fleet, signal);
    await ask(server, 'promote', signal);
    const begun = performance.now();
    await Promise.all([message<string>(fleet, signal), Promise.resolve(fleet.send('go'))]);
    const completed = await untilCompleted(server, signal);
    const realSeconds = (performance.now() - begun) / 1000;
    const figures = await ask<MachineFigures>(fleet, 'stop', signal);
    return {
      ...timesOf(completed, plan),
      plan,
      factor,
      realSeconds,
      load: loadavg()[1] ?? 0,
      server: completed,
      machines: figures,
    };
  } finally {
    fleet?.kill('SIGKILL'); // it has nothing but memory
    await end(server);
  }
}

async function untilCompleted(server: ChildProcess, signal: AbortSignal): Promise<ServerFigures> {
  for (;;) {
    const figures = await ask<ServerFigures>(server, 'figures', signal);
    if (figures.rollout?.state === 'completed') return figures;
    if (figures.rollout?.state === 'stopped')
      throw new Error(`the rollout stopped: ${figures.rollout.reason}`);
    await new Promise(resolve => setTimeout(resolve, 200));
  }
}

function timesOf({rollout}: ServerFigures, plan: RolloutPlan) {
  if (rollout === undefined) throw new Error('the server knows no rollout');
  const start = Date.parse(rollout.startedAt);
  const since = (time: string | undefined) => (Date.parse(time ?? '') - start) / 1000;
  return {
    minimumSeconds: minimumSeconds(plan),
    seconds: since(rollout.changedAt),
    waves: rollout.waves.map(({name, openedAt, healthyAt}) => ({
      name,
      openedAt: since(openedAt),
      doneAt: since(healthyAt),
    })),
  };
}

function child(script: string, args: readonly string[]): ChildProcess {
  return fork(new URL(script, import.meta.url), [...args]);
}

/** The next thing it says. Throws when it ends instead. */
async function message<Value>(from: ChildProcess, signal: AbortSignal): Promise<Value> {
  const ended = new AbortController();
  const either = AbortSignal.any([signal, ended.signal]);
  const gone = () => ended.abort(new Error(`${from.spawnargs[1] ?? 'a process'} ended`));
  from.once('exit', gone);
  try {
    const [value] = (await once(from, 'message', {signal: either})) as [Value];
    return value;
  } catch (error) {
    either.throwIfAborted();
    throw error;
  } finally {
    from.off('exit', gone);
  }
}

async function ask<Value>(to: ChildProcess, verb: string, signal: AbortSignal): Promise<Value> {
  const answer = message<Value>(to, signal);
  to.send(verb);
  return answer;
}

/** The server ends its etcd before itself. */
async function end(each: ChildProcess): Promise<void> {
  if (each.exitCode !== null || each.signalCode !== null) return;
  const exit = once(each, 'exit');
  const hard = setTimeout(() => each.kill('SIGKILL'), 20_000);
  if (each.connected) each.send('end');
  await exit;
  clearTimeout(hard);
}

/** The lines of the report. */
export function renderRollout(figures: RolloutFigures): string[] {
  const {plan, factor, minimumSeconds: least, seconds, waves, server, machines, realSeconds, load} = figures;
  const total = Object.values(server.requests).reduce((sum, each) => sum + each, 0);
  const share = (seconds: number) => `${((100 * seconds) / realSeconds).toFixed(0)} % of a core`;
  return [
    `rollout: ${plan.machines} machines, ${plan.slots} slots, waves of ${plan.waves.join(', ')}, soak ${plan.soakSeconds} s, polls every ${plan.pollSeconds} s`,
    `promotion to completion           ${seconds.toFixed(0)} s`,
    `least time of this plan           ${least} s (ratio ${(seconds / least).toFixed(2)})`,
    ...waves.map(
      ({name, openedAt, doneAt}) =>
        `  wave ${name}`.padEnd(34) + `open at ${openedAt.toFixed(0)} s, done at ${doneAt.toFixed(0)} s`,
    ),
    `most machines away at once        ${machines.mostAway}`,
    `the fleet's clock                 ${factor} times ours: ${realSeconds.toFixed(0)} s in all, load ${load.toFixed(1)}`,
    `late timers of the simulation     ${machines.lateSeconds.toFixed(1)} s (99 of 100 not later)`,
    `requests                          ${total}, ${(total / realSeconds).toFixed(0)}/s of ours`,
    ...Object.entries(server.requests).map(([path, number]) => `  ${path}`.padEnd(34) + number),
    `answers                           ${Object.entries(server.answers)
      .map(([status, number]) => `${status}: ${number}`)
      .join(', ')}`,
    `server                            ${server.cpuSeconds.toFixed(0)} CPU s (${share(server.cpuSeconds)}), ${server.residentMiB.toFixed(0)} MiB`,
    `event loop                        p99 ${server.stall.p99.toFixed(0)} ms, longest ${server.stall.max.toFixed(0)} ms`,
    `etcd                              ${server.etcdCpuSeconds.toFixed(0)} CPU s (${share(server.etcdCpuSeconds)}), ${server.storeMiB.toFixed(0)} MiB`,
  ];
}
