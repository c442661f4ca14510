/** `hawser fleet status` as data. Pure. */
import type {
  FleetStatus,
  LockHolder,
  MachineStatus,
  Rollout,
  RolloutSummary,
} from '../common/contracts/policy.ts';
import type {Fleet, Machine} from './fleet.ts';
import {decide, failuresIn} from './rollout.ts';
import {expectedWaves, openCount} from './waves.ts';
import {rankOf} from './rank.ts';

export interface StatusInput {
  readonly fleet: Fleet;
  readonly locks: readonly LockHolder[];
  /** When each machine was last heard by this server, ms; the record's own time is coarse. */
  readonly seen: ReadonlyMap<string, number>;
  /** ms */
  readonly now: number;
}

export function fleetStatus(input: StatusInput): FleetStatus {
  const {fleet, locks, now} = input;
  const waves = expectedByGroup(fleet, now);
  const machines = [...fleet.machines.values()]
    .filter(({assignment}) => assignment?.forgotten === undefined)
    .map(machine => statusOf(machine, input, waves))
    .sort((a, b) => a.name.localeCompare(b.name, 'en', {numeric: true}) || (a.uuid < b.uuid ? -1 : 1));
  return {
    at: new Date(now).toISOString(),
    machines,
    rollouts: [...fleet.rollouts.values()]
      .sort((a, b) => (a.group < b.group ? -1 : 1))
      .map(rollout => summaryOf(rollout, fleet, now)),
    locks: [...locks],
    problems: [...fleet.unreadable.values()].map(error => error.message),
  };
}

/** One machine, as `GET /v1/machines/<uuid>` shows it. */
export function machineStatus(machine: Machine, input: StatusInput): MachineStatus {
  return statusOf(machine, input, expectedByGroup(input.fleet, input.now));
}

export function summaryOf(rollout: Rollout, fleet: Fleet, now: number): RolloutSummary {
  const crew = fleet.crews.get(rollout.group);
  return {
    rollout,
    waves: rollout.waves.map((wave, index) => ({
      name: wave.name,
      state: wave.openedAt === undefined ? 'waiting' : wave.healthyAt === undefined ? 'open' : 'healthy',
      machines: crew?.waves[index]?.machines ?? 0,
      done: crew?.waves[index]?.done ?? 0,
    })),
    machines: crew?.parts.size ?? 0,
    done: crew?.done ?? 0,
    failed: failuresIn(rollout.group, fleet, now).length,
  };
}

type ExpectedWaves = ReadonlyMap<string, ReadonlyMap<string, number>>;

function expectedByGroup(fleet: Fleet, now: number): ExpectedWaves {
  const at = new Date(now).toISOString();
  const known = [...fleet.rollouts.values()].filter(({waves}) => openCount(waves) < waves.length);
  return new Map(
    known.map(rollout => {
      const parts = [...(fleet.crews.get(rollout.group)?.parts.values() ?? [])];
      return [rollout.group, expectedWaves(rollout, parts, at)];
    }),
  );
}

function statusOf(machine: Machine, input: StatusInput, waves: ExpectedWaves): MachineStatus {
  const {record, assignment, labels, membership} = machine;
  const {report, uuid} = record;
  const {fleet, locks, seen, now} = input;
  const decision = decide(machine, fleet, now);
  const group = membership.kind === 'in' ? membership.group : undefined;
  const rollout = group === undefined ? undefined : fleet.rollouts.get(group);
  const waiting = rollout === undefined ? undefined : waves.get(rollout.group)?.get(rankOf(rollout.id, uuid));
  const wave = decision.wave ?? (decision.target === report.version ? undefined : waiting);
  const heard = Math.max(seen.get(uuid) ?? 0, Date.parse(record.lastSeen));
  const pin = assignment?.pin ?? (group === undefined ? undefined : fleet.groups.get(group)?.config.pin);
  const {staged, healthy, progress} = report;
  return {
    uuid,
    name: report.name,
    ...(group === undefined ? {} : {group}),
    version: report.version,
    slot: report.slot,
    phase: report.phase,
    phaseSince: record.phaseSince,
    ...(staged === undefined ? {} : {staged}),
    ...(decision.target === undefined ? {} : {target: decision.target}),
    ...(pin === undefined ? {} : {pin}),
    labels: {...labels},
    ...(healthy === undefined ? {} : {healthy}),
    ...(progress === undefined ? {} : {progress: progress.share, bytesFetched: progress.bytesFetched}),
    failed: report.failed,
    lastSeen: new Date(heard).toISOString(),
    waitsFor: report.waitsFor ?? decision.reason,
    ...(wave === undefined ? {} : {wave: wave + 1}),
    ...(decision.turnAt === undefined ? {} : {turnAt: new Date(decision.turnAt).toISOString()}),
    holdsLock: locks.some(lock => lock.machine === uuid),
    ...(membership.kind === 'none' ? {problem: membership.problem} : {}),
  };
}
