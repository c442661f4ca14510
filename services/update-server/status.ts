/** `hawser fleet status` as data. Pure. */
import type {
  FleetStatus,
  LockHolder,
  MachineStatus,
  Rollout,
  RolloutSummary,
} from '../common/contracts/policy.ts';
import type {Fleet, Machine} from './fleet.ts';
import type {Membership} from './groups.ts';
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

/** Everything but the machines: of one group, or of all. */
export function fleetSummary({fleet, locks, now}: StatusInput, only?: string): Omit<FleetStatus, 'machines'> {
  const shown = ({group}: {readonly group: string}) => only === undefined || group === only;
  return {
    at: new Date(now).toISOString(),
    rollouts: [...fleet.rollouts.values()]
      .filter(shown)
      .sort((a, b) => (a.group < b.group ? -1 : 1))
      .map(rollout => summaryOf(rollout, fleet, now)),
    locks: locks.filter(shown),
    problems: [...fleet.unreadable.values()].map(error => error.message),
  };
}

/**
 * The machines of one group, or all and those that are in none, in no order. Each is worked out when it is asked for, so
 * that who reads a large fleet can do something else in between.
 */
export function* machineStatuses(input: StatusInput, only?: string): Generator<MachineStatus> {
  const {fleet, locks, now} = input;
  const waves = expectedByGroup(fleet, now, only);
  const holders = holdersOf(locks);
  // A copy: the fleet goes on changing while its status is read.
  const machines = Array.from(fleet.machines.values());
  for (const machine of machines) {
    if (machine.assignment?.forgotten !== undefined) continue;
    if (only === undefined || groupOf(machine.membership) === only)
      yield statusOf(machine, input, waves, holders);
  }
}

/** One machine, as `GET /v1/machines/<uuid>` shows it. */
export function machineStatus(machine: Machine, input: StatusInput): MachineStatus {
  const waves = expectedByGroup(input.fleet, input.now, groupOf(machine.membership));
  return statusOf(machine, input, waves, holdersOf(input.locks));
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

function groupOf(membership: Membership): string | undefined {
  return membership.kind === 'in' ? membership.group : undefined;
}

function holdersOf(locks: readonly LockHolder[]): ReadonlySet<string> {
  return new Set(locks.map(({machine}) => machine));
}

type ExpectedWaves = ReadonlyMap<string, ReadonlyMap<string, number>>;

function expectedByGroup(fleet: Fleet, now: number, only: string | undefined): ExpectedWaves {
  const at = new Date(now).toISOString();
  const known = [...fleet.rollouts.values()].filter(
    ({group, waves}) => (only === undefined || group === only) && openCount(waves) < waves.length,
  );
  return new Map(
    known.map(rollout => {
      const parts = [...(fleet.crews.get(rollout.group)?.parts.values() ?? [])];
      return [rollout.group, expectedWaves(rollout, parts, at)];
    }),
  );
}

function statusOf(
  machine: Machine,
  input: StatusInput,
  waves: ExpectedWaves,
  holders: ReadonlySet<string>,
): MachineStatus {
  const {record, assignment, labels, membership} = machine;
  const {report, uuid} = record;
  const {fleet, seen, now} = input;
  const decision = decide(machine, fleet, now);
  const group = groupOf(membership);
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
    holdsLock: holders.has(uuid),
    ...(membership.kind === 'none' ? {problem: membership.problem} : {}),
  };
}
