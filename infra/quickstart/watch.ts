/** Looks at the fleet until it is as the demonstration wants it, and says what changed. */
import {setTimeout as delay} from 'node:timers/promises';
import type {FleetStatus} from '../../services/common/contracts/policy.ts';
import type {Progress} from '../../services/common/progress.ts';
import {fleetStatus} from './fleet-server.ts';
import type {Load} from './load.ts';

const LOOK_MS = 5000;

/** What each wait of the demonstration has: whom to look at, how long, whom to tell. */
export interface Watch {
  readonly machines: readonly string[];
  /** Seconds after which a wait gives up. */
  readonly limitSeconds: number;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Waits until every machine has reported to the update server. */
export async function untilReported(watch: Watch): Promise<FleetStatus> {
  watch.progress.note('  waiting until every machine has reported to the update server');
  return untilFleet(watch, 'the machines to report to the server', status => {
    const known = status.machines.map(({name}) => name);
    return watch.machines.every(name => known.includes(name));
  });
}

/** Waits until `done`, with a line for each change of a machine's version, phase or reason to wait. */
export function untilChanged(
  watch: Watch,
  what: string,
  load: Load,
  done: (status: FleetStatus) => boolean,
): Promise<FleetStatus> {
  const said = new Map<string, string>();
  return untilFleet(watch, what, status => {
    for (const {name, version, phase, waitsFor} of status.machines) {
      const line = `${version} ${phase}${waitsFor === '' ? '' : `: ${waitsFor}`}`;
      if (said.get(name) === line) continue;
      said.set(name, line);
      const {sent, failed} = load.report();
      watch.progress.note(`  ${name}  ${line}  (${sent} requests, ${failed} failed)`);
    }
    return done(status);
  });
}

/** Every machine runs `version` and has nothing to do. */
export function allRest({machines}: FleetStatus, names: readonly string[], version: string): boolean {
  return names.every(name =>
    machines.some(one => one.name === name && one.version === version && one.phase === 'idle'),
  );
}

async function untilFleet(
  {limitSeconds, signal}: Watch,
  what: string,
  done: (status: FleetStatus) => boolean,
): Promise<FleetStatus> {
  const deadline = performance.now() + limitSeconds * 1000;
  for (;;) {
    const status = await fleetStatus(signal);
    if (done(status)) return status;
    if (performance.now() > deadline) throw new Error(`waited ${limitSeconds} s for ${what}`);
    await delay(LOOK_MS, undefined, {signal});
  }
}
