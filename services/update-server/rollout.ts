/** What a machine is answered: from the fleet's state and the time. One road to every answer. Pure. */
import type {CheckAnswer} from '../common/contracts/fleet.ts';
import type {Group, Rollout} from '../common/contracts/policy.ts';
import type {Fleet, Machine} from './fleet.ts';
import {settingsOf} from './groups.ts';
import type {Hop} from './hop.ts';
import {isOverdue} from './standing.ts';
import {openCount, waveOf} from './waves.ts';
import {isOpen, nextOpening} from './windows.ts';
import {rankOf} from './rank.ts';

export interface Decision extends Pick<CheckAnswer, 'action' | 'version' | 'reason'> {
  /** What the machine shall run in the end; `version` is the next step there. */
  readonly target?: string;
  /** Index of its wave. */
  readonly wave?: number;
  /** When its turn comes, ms, as far as that is known. */
  readonly turnAt?: number;
}

const none = (reason: string, more: Partial<Decision> = {}): Decision => ({action: 'none', reason, ...more});

/** Answers a machine. `now` is ms since the epoch. */
export function decide(machine: Machine, fleet: Fleet, now: number): Decision {
  const {membership, assignment} = machine;
  if (membership.kind === 'none') return none(membership.problem);
  const group = fleet.groups.get(membership.group);
  if (group === undefined) return none(`the group ${membership.group} does not exist`);
  const pin = assignment?.pin ?? group.config.pin;
  if (pin !== undefined) return pinned(machine, pin, group, fleet, now);

  const promotion = fleet.channels.get(group.config.channel)?.promotion;
  if (promotion === undefined) return none(`the channel ${group.config.channel} offers nothing yet`);
  const target = promotion.version;
  const hop = fleet.hop(machine.record.report.version, target);
  if (hop.kind === 'there') return none('up to date', {target});
  if (hop.kind === 'above') return none(`runs a newer version than ${target}`, {target});
  if (hop.kind === 'no-way') return none(hop.why, {target});
  const rollout = fleet.rollouts.get(group.name);
  if (rollout === undefined || rollout.id !== promotion.id)
    return none(`the rollout of ${target} is about to begin`, {target});
  return rolledOut(machine, {hop, rollout, group, fleet, now});
}

function pinned(machine: Machine, pin: string, group: Group, fleet: Fleet, now: number): Decision {
  const hop = fleet.hop(machine.record.report.version, pin);
  if (hop.kind === 'there') return none(`pinned to ${pin}`, {target: pin});
  if (hop.kind === 'above') {
    return none(`pinned to ${pin}, which does not allow to go down to it from a newer version`, {
      target: pin,
    });
  }
  if (hop.kind === 'no-way') return none(hop.why, {target: pin});
  const failure = failedBefore(machine, hop.version);
  if (failure !== undefined) return none(failure, {target: pin});
  return inWindow(machine, hop.version, settingsOf(group.config).windows, now, {
    target: pin,
    reason: `pinned to ${pin}`,
  });
}

interface Course {
  readonly hop: Extract<Hop, {kind: 'go'}>;
  readonly rollout: Rollout;
  readonly group: Group;
  readonly fleet: Fleet;
  readonly now: number;
}

function rolledOut(machine: Machine, {hop, rollout, group, fleet, now}: Course): Decision {
  const {record, labels} = machine;
  const settings = settingsOf(group.config);
  const target = rollout.version;
  const {version} = hop;
  const failures = failuresIn(group.name, fleet, now);
  if (rollout.state === 'aborted') return none(`rollout aborted${because(rollout)}`, {target});
  if (rollout.state === 'stopped') return none(`rollout stopped${because(rollout)}`, {target});
  // Before the stop is written: the answer follows from the machines alone.
  if (failures.length >= settings.stopAfter)
    return none(`rollout stopped: ${failures.length} machines failed`, {target});
  const failure = failedBefore(machine, version);
  if (failure !== undefined) return none(failure, {target});

  const candidate = {rank: rankOf(rollout.id, record.uuid), labels, firstSeen: record.firstSeen};
  const wave = waveOf(candidate, rollout.waves);
  const place = wave === undefined ? {target} : {target, wave};
  if (isUnderway(machine, version)) {
    // Half-way out of service: neither a pause nor the end of a window sends it back to wait with its lock held.
    return {action: 'apply', version, reason: `updating to ${version}`, ...place};
  }
  if (rollout.state === 'paused') {
    const reason = `rollout paused${because(rollout)}`;
    return record.report.staged === version
      ? {action: 'stage', version, reason, ...place}
      : none(reason, place);
  }
  if (wave === undefined) {
    const {reason, turnAt} = waiting(rollout);
    const more = {...place, ...(turnAt === undefined ? {} : {turnAt})};
    return settings.stageAhead ? {action: 'stage', version, reason, ...more} : none(reason, more);
  }
  const own = rollout.waves[wave];
  const name = `wave ${wave + 1} of ${rollout.waves.length} (${own?.name ?? ''})`;
  return inWindow(machine, version, own?.windows ?? settings.windows, now, {...place, reason: name});
}

function inWindow(
  machine: Machine,
  version: string,
  windows: Parameters<typeof isOpen>[0],
  now: number,
  more: Partial<Decision> & {readonly reason: string},
): Decision {
  if (isUnderway(machine, version) || isOpen(windows, now)) return {...more, action: 'apply', version};
  const turnAt = nextOpening(windows, now);
  const when = turnAt === undefined ? 'never' : `at ${new Date(turnAt).toISOString()}`;
  return {
    ...more,
    action: 'stage',
    version,
    reason: `${more.reason}: the maintenance window opens ${when}`,
    ...(turnAt === undefined ? {} : {turnAt}),
  };
}

function isUnderway({record}: Machine, version: string): boolean {
  return record.report.phase === 'draining' && record.updating?.to === version;
}

function failedBefore({record}: Machine, version: string): string | undefined {
  const {report, noted = []} = record;
  const failed = [...report.failed, ...noted].find(each => each.version === version);
  return failed === undefined
    ? undefined
    : `this machine tried ${version} and fell back (${failed.reason}); it is not tried again`;
}

/** The machines that count as failed in the group's rollout at `now`: those that fell back, and those overdue. */
export function failuresIn(group: string, fleet: Fleet, now: number): readonly string[] {
  const crew = fleet.crews.get(group);
  const rollout = fleet.rollouts.get(group);
  if (crew === undefined || rollout === undefined) return [];
  const failed = [...crew.failed];
  const {deadlineSeconds} = settingsOf(fleet.groups.get(group)?.config ?? {channel: rollout.channel});
  for (const uuid of crew.away) {
    const record = fleet.machines.get(uuid)?.record;
    if (record === undefined || crew.failed.has(uuid) || rollout.forgiven.includes(uuid)) continue;
    if (isOverdue(record, deadlineSeconds, now)) failed.push(uuid);
  }
  return failed;
}

function because(rollout: Rollout): string {
  return rollout.reason === undefined ? '' : `: ${rollout.reason}`;
}

function waiting(rollout: Rollout): {readonly reason: string; readonly turnAt?: number} {
  const open = openCount(rollout.waves);
  const next = rollout.waves[open];
  const last = rollout.waves[open - 1];
  const ahead = `waits for its wave; ${open} of ${rollout.waves.length} are open`;
  if (next === undefined || last === undefined) return {reason: ahead};
  if (last.healthyAt === undefined)
    return {reason: `${ahead}, and ${last.name} is not healthy on ${rollout.version} yet`};
  const turnAt = Date.parse(last.healthyAt) + last.soakSeconds * 1000;
  return {reason: `${ahead}, ${next.name} opens at ${new Date(turnAt).toISOString()}`, turnAt};
}
