/** The demonstration itself: a release is promoted under load, and every machine moves to it, one at a time. */
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {stringify} from 'yaml';
import {startDemoLoad} from './demo-load.ts';
import {machineEvents} from './fleet-server.ts';
import {hawser} from './hawser.ts';
import type {Load} from './load.ts';
import {rollingUpdate, type RollingUpdate} from './rolling-report.ts';
import {allRest, untilChanged, untilReported, type Watch} from './watch.ts';

/** A run of the agent costs seconds of a processor where machines are emulated. */
const POLL_SECONDS = 30;
export const SETTLE_MS = 15_000;

export const groupName = 'quickstart';
export const channel = 'stable';

/**
 * One machine after the other, from the fetch on: emulated machines share the processors of this one, and those that
 * serve must not wait for those that fetch. The first failure stops the rollout.
 */
export async function prepareGroup(machines: number, signal: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-group-'));
  try {
    const path = join(folder, 'group.yaml');
    const waves = Array.from({length: machines - 1}, () => ({machines: 1}));
    const config = {channel, pollSeconds: POLL_SECONDS, stopAfter: 1, waves, lock: {slots: 1}};
    await writeFile(path, stringify(config));
    await hawser(['channel', 'set', channel], {signal});
    await hawser(['group', 'set', groupName, path], {signal});
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

export interface Roll {
  /** The one address before all machines. */
  readonly url: string;
  readonly to: string;
  readonly fullImageBytes: number;
}

/** Undefined when every machine runs `to` already: there is nothing to show. */
export async function rollFleet(roll: Roll, watch: Watch): Promise<RollingUpdate | undefined> {
  const {url, to, fullImageBytes} = roll;
  const {progress, signal, machines} = watch;
  const before = await untilReported(watch);
  if (allRest(before, machines, to)) return undefined;
  const from = before.machines.find(({name}) => machines.includes(name))?.version ?? '';
  return underLoad(url, async load => {
    await delay(SETTLE_MS, undefined, {signal});
    const since = new Date().toISOString();
    await hawser(['release', 'promote', to, '--channel', channel], {signal});
    progress.note(`  ${to} is promoted to ${channel}; requests go on`);
    await untilChanged(watch, `every machine to run ${to}`, load, status => {
      const bad = status.rollouts.find(({rollout}) => rollout.version === to && rollout.state === 'stopped');
      if (bad !== undefined)
        throw new Error(`the rollout stopped: ${bad.rollout.reason ?? 'no reason given'}`);
      return allRest(status, machines, to);
    });
    await delay(SETTLE_MS, undefined, {signal});
    const report = await load.stop();
    const updated = await Promise.all(
      machines.map(async name => {
        const {version, bytesFetched, events} = await machineEvents(name, signal);
        return {name, version, bytesFetched: bytesFetched ?? 0, events};
      }),
    );
    return rollingUpdate({from, to, fullImageBytes, machines: updated, load: report, since});
  });
}

/** The load runs for as long as `work`, or until that stops it. */
export async function underLoad<Result>(url: string, work: (load: Load) => Promise<Result>): Promise<Result> {
  const load = startDemoLoad(url);
  try {
    return await work(load);
  } finally {
    await load.stop();
  }
}
