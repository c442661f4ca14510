/** How a machine stands towards the release of a rollout. Pure. */
import semver from 'semver';
import type {MachineRecord} from '../common/contracts/policy.ts';
import type {MachinePhase} from '../common/contracts/fleet.ts';

/** The phases in which a machine is out of service for its update. */
const awayPhases: ReadonlySet<MachinePhase> = new Set(['draining', 'rebooting', 'proving', 'returning']);

export function isAway(phase: MachinePhase): boolean {
  return awayPhases.has(phase);
}

/** On the release, back in service and not unhealthy. */
export function isDone({report}: MachineRecord, version: string): boolean {
  return report.version === version && !isAway(report.phase) && report.healthy !== false;
}

/** Tried the release, or one on the way to it, and fell back. */
export function hasFailed({report, noted = []}: MachineRecord, version: string): boolean {
  return [...report.failed, ...noted].some(
    failed =>
      failed.version === version ||
      (semver.gt(failed.version, report.version) && semver.lte(failed.version, version)),
  );
}

/** Left service for an update longer than `deadlineSeconds` ago. */
export function isOverdue(
  {updating}: Pick<MachineRecord, 'updating'>,
  deadlineSeconds: number,
  now: number,
): boolean {
  return updating !== undefined && now - Date.parse(updating.since) > deadlineSeconds * 1000;
}
