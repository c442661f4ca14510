/** `--bad-release`: releases that are no good are promoted under load; one machine tries each, and goes back by itself. */
import {setTimeout as delay} from 'node:timers/promises';
import type {FleetStatus} from '../../services/common/contracts/policy.ts';
import {badRelease, type BadRelease} from './bad-report.ts';
import {machineEvents} from './fleet-server.ts';
import {hawser} from './hawser.ts';
import {channel, SETTLE_MS, underLoad} from './rolling.ts';
import {allRest, untilChanged, untilReported, type Watch} from './watch.ts';

/** One after the other, each under a load of its own. */
export async function tryBadReleases(
  url: string,
  versions: readonly string[],
  watch: Watch,
): Promise<BadRelease[]> {
  const before = await untilReported(watch);
  const good = before.machines.find(({name}) => watch.machines.includes(name))?.version ?? '';
  const tried: BadRelease[] = [];
  for (const version of versions) tried.push(await tryBadRelease(url, good, version, watch));
  return tried;
}

function tryBadRelease(url: string, good: string, version: string, watch: Watch): Promise<BadRelease> {
  const {progress, signal, machines} = watch;
  return underLoad(url, async load => {
    await delay(SETTLE_MS, undefined, {signal});
    const since = new Date().toISOString();
    await hawser(['release', 'promote', version, '--channel', channel], {signal});
    progress.note(`  ${version}, which is no good, is promoted to ${channel}; requests go on`);
    const status = await untilChanged(
      watch,
      `the rollout of ${version} to stop`,
      load,
      now => rolloutOf(now, version)?.state === 'stopped' && allRest(now, machines, good),
    );
    await delay(SETTLE_MS, undefined, {signal});
    const report = await load.stop();
    const seen = await Promise.all(machines.map(name => machineEvents(name, signal)));
    return badRelease({
      version,
      good,
      reason: rolloutOf(status, version)?.reason ?? '',
      machines: seen,
      load: report,
      since,
    });
  });
}

function rolloutOf(status: FleetStatus, version: string) {
  return status.rollouts.map(({rollout}) => rollout).find(rollout => rollout.version === version);
}
