/**
 * The machines of one group counted towards its rollout, kept up to date machine by machine, so that neither an answer
 * nor a decision walks over the fleet. The counts are a function of the machines and the rollout alone: test/
 * update-server/fleet.test.ts holds them against a count from nothing.
 */
import type {Rollout} from '../common/contracts/policy.ts';
import type {Machine} from './fleet.ts';
import {rankOf} from './rank.ts';
import {hasFailed, isDone} from './standing.ts';
import {waveOf, type Candidate} from './waves.ts';

/** A machine's part in the rollout of its group. */
export interface Part extends Candidate {
  readonly uuid: string;
  /** Index of its wave; absent while it waits for one. */
  readonly wave?: number;
  readonly done: boolean;
  /** Failed in this rollout; what was known before it began does not count. */
  readonly failed: boolean;
  readonly forgiven: boolean;
  /** Out of service for the update. */
  readonly away: boolean;
}

export class Crew {
  /** By UUID; machines that are pinned, or above the release, take no part. */
  readonly parts = new Map<string, Part>();
  readonly failed = new Set<string>();
  readonly away = new Set<string>();
  readonly waves: {machines: number; done: number}[];
  done = 0;
  /** Machines that will never be done, and are known to be so. */
  forgiven = 0;

  constructor(rollout: Rollout) {
    this.waves = rollout.waves.map(() => ({machines: 0, done: 0}));
  }

  add(part: Part): void {
    this.parts.set(part.uuid, part);
    this.#count(part, 1);
    if (part.failed) this.failed.add(part.uuid);
    if (part.away) this.away.add(part.uuid);
  }

  remove(uuid: string): void {
    const part = this.parts.get(uuid);
    if (part === undefined) return;
    this.parts.delete(uuid);
    this.failed.delete(uuid);
    this.away.delete(uuid);
    this.#count(part, -1);
  }

  #count(part: Part, by: 1 | -1): void {
    if (part.done) this.done += by;
    else if (part.forgiven) this.forgiven += by;
    const wave = part.wave === undefined ? undefined : this.waves[part.wave];
    if (wave === undefined) return;
    wave.machines += by;
    if (part.done) wave.done += by;
  }
}

/** What `machine` is to `rollout`; `forgiven` holds the rollout's own list. */
export function partOf(machine: Machine, rollout: Rollout, forgiven: ReadonlySet<string>): Part {
  const {record, labels} = machine;
  const rank = rankOf(rollout.id, record.uuid);
  const candidate = {rank, labels, firstSeen: record.firstSeen};
  const wave = waveOf(candidate, rollout.waves);
  const done = isDone(record, rollout.version);
  const failed = !done && hasFailed(record, rollout.version);
  const excused = forgiven.has(record.uuid);
  return {
    uuid: record.uuid,
    ...candidate,
    ...(wave === undefined ? {} : {wave}),
    done,
    failed: failed && !excused,
    forgiven: failed && excused,
    away: record.updating !== undefined && !done,
  };
}
