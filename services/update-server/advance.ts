/**
 * What becomes of a rollout: begins with a promotion, opens wave after wave, stops by itself, completes. Any server may
 * write the result; compare-and-swap lets one of them. Pure.
 */
import type {Group, KnownRelease, Rollout} from '../common/contracts/policy.ts';
import {STATE_SCHEMA} from '../common/contracts/policy.ts';
import type {Fleet} from './fleet.ts';
import {settingsOf} from './groups.ts';
import {failuresIn} from './rollout.ts';
import {hasFailed} from './standing.ts';
import {openCount, openNext, planWaves} from './waves.ts';

/** The rollout of `group` as it should be at `now` (ms); undefined when it is so already or there is none. */
export function advance(name: string, fleet: Fleet, now: number): Rollout | undefined {
  const group = fleet.groups.get(name);
  if (group === undefined || group.config.pin !== undefined) return undefined;
  const current = fleet.rollouts.get(name);
  const promotion = fleet.channels.get(group.config.channel)?.promotion;
  if (promotion !== undefined && current?.id !== promotion.id) return begin(group, promotion, fleet, now);
  if (current === undefined) return undefined;
  return stop(current, group, fleet, now) ?? move(current, name, fleet, now);
}

function begin(
  group: Group,
  promotion: {readonly id: string; readonly version: string},
  fleet: Fleet,
  now: number,
): Rollout {
  const at = new Date(now).toISOString();
  const machines = [...fleet.membersOf(group.name)].flatMap(uuid => fleet.machines.get(uuid) ?? []);
  return {
    schema: STATE_SCHEMA,
    id: promotion.id,
    group: group.name,
    channel: group.config.channel,
    version: promotion.version,
    state: 'running',
    startedAt: at,
    changedAt: at,
    // The first wave opens when the fleet has taken this in: its ranks follow from the rollout's id.
    waves: [...planWaves(group.config, machines)],
    forgiven: machines
      .filter(({record}) => hasFailed(record, promotion.version))
      .map(({record}) => record.uuid)
      .sort(),
  };
}

function stop(rollout: Rollout, group: Group, fleet: Fleet, now: number): Rollout | undefined {
  if (rollout.state === 'stopped' || rollout.state === 'aborted') return undefined;
  const at = new Date(now).toISOString();
  const release: KnownRelease | undefined = fleet.releases.get(rollout.version);
  if (release?.withdrawn !== undefined && rollout.state !== 'completed')
    return {...rollout, state: 'stopped', reason: `release ${rollout.version} is withdrawn`, changedAt: at};
  const failures = failuresIn(group.name, fleet, now);
  if (failures.length < settingsOf(group.config).stopAfter) return undefined;
  const names = failures.map(uuid => fleet.machines.get(uuid)?.record.report.name ?? uuid).sort();
  const shown =
    names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');
  return {...rollout, state: 'stopped', reason: `failed on ${shown}`, changedAt: at};
}

function move(rollout: Rollout, name: string, fleet: Fleet, now: number): Rollout | undefined {
  const crew = fleet.crews.get(name);
  if (rollout.state !== 'running' || crew === undefined) return undefined;
  // It may be of the wave that is judged here, and is counted nowhere.
  if (fleet.hidesMachines()) return undefined;
  const at = new Date(now).toISOString();
  const {waves} = rollout;
  const open = openCount(waves);
  const [last, next] = [waves[open - 1], waves[open]];
  const opened = (): Rollout => ({
    ...rollout,
    waves: [...openNext(waves, [...crew.parts.values()], at)],
    changedAt: at,
  });
  if (last === undefined) return opened();

  const counts = crew.waves[open - 1] ?? {machines: 0, done: 0};
  const healthy = counts.done >= Math.ceil(counts.machines * last.minShare);
  if (healthy !== (last.healthyAt !== undefined)) {
    const {healthyAt: _, ...rest} = last;
    const judged = healthy ? {...rest, healthyAt: at} : rest;
    return {...rollout, waves: waves.with(open - 1, judged), changedAt: at};
  }
  if (next !== undefined) {
    // A wave without machines proves nothing, and keeps nobody waiting.
    const soakMs = counts.machines === 0 ? 0 : last.soakSeconds * 1000;
    if (last.healthyAt === undefined || now < Date.parse(last.healthyAt) + soakMs) return undefined;
    return opened();
  }
  if (crew.done + crew.forgiven < crew.parts.size) return undefined;
  return {...rollout, state: 'completed', changedAt: at};
}

/** When time alone will move the rollout (ms): the end of a soak. Undefined when only machines can. */
export function nextMove(rollout: Rollout): number | undefined {
  if (rollout.state !== 'running') return undefined;
  const last = rollout.waves[openCount(rollout.waves) - 1];
  if (last?.healthyAt === undefined) return undefined;
  return Date.parse(last.healthyAt) + last.soakSeconds * 1000;
}
