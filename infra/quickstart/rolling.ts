/** The demonstration itself: a release is promoted under load, and every machine moves to it, one at a time. */
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {stringify} from 'yaml';
import type {FleetStatus} from '../../services/common/contracts/policy.ts';
import type {Progress} from '../../services/common/progress.ts';
import {fleetStatus, machineEvents} from './fleet-server.ts';
import {hawser} from './hawser.ts';
import {startLoad} from './load.ts';
import {rollingUpdate, type RollingUpdate} from './rolling-report.ts';
import {answererOf, slowPath} from './web-image.ts';

const REQUESTS_PER_SECOND = 22;
/** Emulated machines answer slowly while a neighbour boots on the same processors. */
const FAST_LIMIT_MS = 30_000;
const SLOW_LIMIT_MS = 90_000;
const POLL_SECONDS = 15;
const LOOK_MS = 5000;
const SETTLE_MS = 15_000;

export const groupName = 'quickstart';
const channel = 'stable';

/** One machine after the other; the first failure stops the rollout. */
export async function prepareGroup(signal: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-group-'));
  try {
    const path = join(folder, 'group.yaml');
    const config = {channel, pollSeconds: POLL_SECONDS, stopAfter: 1, stageAhead: true, lock: {slots: 1}};
    await writeFile(path, stringify(config));
    await hawser(['channel', 'set', channel], {signal});
    await hawser(['group', 'set', groupName, path], {signal});
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

export interface Roll {
  readonly url: string;
  readonly machines: readonly string[];
  readonly from: string;
  readonly to: string;
  readonly fullImageBytes: number;
  /** Seconds after which the demonstration gives up. */
  readonly limitSeconds: number;
}

export async function rollFleet(roll: Roll, progress: Progress, signal: AbortSignal): Promise<RollingUpdate> {
  const {url, to, from, fullImageBytes} = roll;
  await untilReported(roll, progress, signal);
  const load = startLoad({
    url,
    perSecond: REQUESTS_PER_SECOND,
    fastPath: '/',
    slowPath,
    slowAtOnce: 2,
    fastLimitMs: FAST_LIMIT_MS,
    slowLimitMs: SLOW_LIMIT_MS,
    lanes: 4,
    answerer: answererOf,
  });
  let stopped = false;
  try {
    await delay(SETTLE_MS, undefined, {signal});
    const since = new Date().toISOString();
    await hawser(['release', 'promote', to, '--channel', channel], {signal});
    progress.note(`  ${to} is promoted to ${channel}; requests go on`);
    await untilUpdated(roll, () => load.report(), progress, signal);
    await delay(SETTLE_MS, undefined, {signal});
    const report = await load.stop();
    stopped = true;
    const machines = await Promise.all(
      roll.machines.map(async name => {
        const {version, bytesFetched, events} = await machineEvents(name, signal);
        return {name, version, bytesFetched: bytesFetched ?? 0, events};
      }),
    );
    return rollingUpdate({from, to, fullImageBytes, machines, load: report, since});
  } finally {
    if (!stopped) await load.stop();
  }
}

async function untilReported(roll: Roll, progress: Progress, signal: AbortSignal): Promise<void> {
  progress.note('  waiting until every machine has reported to the update server');
  await until(roll.limitSeconds, 'the machines to report to the server', signal, async () => {
    const {machines} = await fleetStatus(signal);
    const known = machines.map(({name}) => name);
    return roll.machines.every(name => known.includes(name));
  });
}

async function untilUpdated(
  roll: Roll,
  load: () => {sent: number; failed: number},
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const said = new Map<string, string>();
  await until(roll.limitSeconds, `every machine to run ${roll.to}`, signal, async () => {
    const status = await fleetStatus(signal);
    for (const {name, version, phase, waitsFor} of status.machines) {
      const line = `${version} ${phase}${waitsFor === '' ? '' : `: ${waitsFor}`}`;
      if (said.get(name) === line) continue;
      said.set(name, line);
      const {sent, failed} = load();
      progress.note(`  ${name}  ${line}  (${sent} requests, ${failed} failed)`);
    }
    const bad = status.rollouts.find(({rollout}) => rollout.state === 'stopped');
    if (bad !== undefined) throw new Error(`the rollout stopped: ${bad.rollout.reason ?? 'no reason given'}`);
    return allBack(status, roll);
  });
}

function allBack({machines}: FleetStatus, roll: Roll): boolean {
  return roll.machines.every(name =>
    machines.some(one => one.name === name && one.version === roll.to && one.phase === 'idle'),
  );
}

async function until(
  seconds: number,
  what: string,
  signal: AbortSignal,
  done: () => Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!(await done())) {
    if (performance.now() > deadline) throw new Error(`waited ${seconds} s for ${what}`);
    await delay(LOOK_MS, undefined, {signal});
  }
}
