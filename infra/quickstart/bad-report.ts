/** The report's `badReleases`: who tried a release that is no good, what became of it, and of the requests. Pure. */
import type {FailedRelease, MachineEvent} from '../../services/common/contracts/fleet.ts';
import type {LoadReport} from './load-count.ts';
import {loadShortcomings, renderFailures, timelineOf, type TimelineEntry} from './rolling-report.ts';

export interface BadRelease {
  readonly version: string;
  /** By machine: why it went back. */
  readonly triedBy: Readonly<Record<string, string>>;
  /** Machines that run the good release at the end. */
  readonly machinesOnGood: number;
  readonly stoppedBecause: string;
  readonly requestsSent: number;
  readonly requestsFailed: number;
  readonly load: LoadReport;
  readonly timeline: readonly TimelineEntry[];
}

export function badRelease(given: {
  readonly version: string;
  readonly good: string;
  /** Why the rollout stopped. */
  readonly reason: string;
  readonly machines: readonly {
    readonly name: string;
    readonly version: string;
    readonly failed: readonly FailedRelease[];
    readonly events: readonly MachineEvent[];
  }[];
  readonly load: LoadReport;
  /** Of the release's promotion. */
  readonly since: string;
}): BadRelease {
  const {version, good, reason, machines, load, since} = given;
  return {
    version,
    triedBy: Object.fromEntries(
      machines.flatMap(({name, failed}) =>
        failed.filter(one => one.version === version).map(one => [name, one.reason]),
      ),
    ),
    machinesOnGood: machines.filter(machine => machine.version === good).length,
    stoppedBecause: reason,
    requestsSent: load.sent,
    requestsFailed: load.failed,
    load,
    timeline: timelineOf(machines, since),
  };
}

/** Why this has not shown what it is meant to; empty when it has. */
export function badReleaseShortcomings(tried: BadRelease, machines: number): string[] {
  const names = Object.keys(tried.triedBy);
  return [
    ...(names.length === 1 ? [] : [`${tried.version} was tried by ${names.length} machines, not by one`]),
    ...(tried.machinesOnGood === machines
      ? []
      : [`${tried.machinesOnGood} of ${machines} machines run the good release`]),
    ...loadShortcomings(tried.load),
  ];
}

/** Lines for people. */
export function renderBadRelease(tried: BadRelease): string[] {
  return [
    `${tried.version}: ${tried.requestsSent} requests sent, ${tried.requestsFailed} failed`,
    ...Object.entries(tried.triedBy).map(([name, reason]) => `${name} tried it and went back: ${reason}`),
    `the rollout stopped: ${tried.stoppedBecause}`,
    ...tried.timeline.map(({at, machine, what}) => `${at}  ${machine}  ${what}`),
    ...renderFailures(tried.load),
  ];
}
