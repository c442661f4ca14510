/**
 * The state of the machine after a boot, or at the start of a run: from what was written to disk and what runs now.
 * Nothing is carried over in memory. A record that says "tried X" on a machine that runs Y is a fall-back.
 */
import type {FailedRelease} from '../common/contracts/fleet.ts';
import type {AgentRecord} from './record.ts';
import type {ReleaseName, State} from './states.ts';

/** Where the UKI of the release on trial stands in the ESP, by its name. */
export type TrialEntry =
  /** Under a name that does not boot: it was never tried. */
  | 'unarmed'
  /** Bootable, with all its tries. */
  | 'untried'
  | 'tried'
  /** No tries are left, or it was marked bad. */
  | 'exhausted'
  /** Without a counter: it proved itself. */
  | 'good'
  | 'gone';

export interface RunningFacts {
  readonly own: ReleaseName;
  readonly bootId: string;
  /** Of the release on trial; `gone` when there is none. */
  readonly trialEntry: TrialEntry;
}

export function recover(record: AgentRecord, facts: RunningFacts, now: string): State {
  const {trial, lock, staged} = record;
  const fence = lock?.fence === undefined ? {} : {fence: lock.fence};
  if (trial !== undefined) {
    if (facts.own.rootHash === trial.rootHash) {
      const {version, rootHash, verdict, reboots, source, from} = trial;
      return {
        phase: 'proving',
        release: {version, rootHash},
        reboots,
        ...fence,
        ...(source === 'slot' ? {replaced: from} : {}),
        ...(verdict === undefined ? {} : {verdict}),
      };
    }
    const tried = trial.bootId !== facts.bootId && facts.trialEntry !== 'unarmed';
    if (tried) return {phase: 'fell-back', failed: failureOf(trial, facts.trialEntry, now), ...fence};
  }
  if (lock !== undefined || record.drained) {
    if (staged !== undefined && staged.rootHash !== facts.own.rootHash) {
      return {phase: 'locking', release: staged, drained: record.drained};
    }
    // Blessed, and cut off on its way back into service: the trial is over, the slot is held still.
    const outcome = lock?.to === facts.own.version ? 'updated' : 'put-off';
    return {phase: 'returning', outcome, version: facts.own.version, ...fence};
  }
  if (staged !== undefined && staged.rootHash !== facts.own.rootHash)
    return {phase: 'staged', release: staged};
  if (record.fetching !== undefined) return {phase: 'fetching', ...record.fetching};
  return {phase: 'idle'};
}

function failureOf(trial: NonNullable<AgentRecord['trial']>, entry: TrialEntry, at: string): FailedRelease {
  const {version, rootHash} = trial;
  if (trial.verdict === 'unhealthy') {
    return {version, rootHash, reason: 'unhealthy', detail: (trial.detail ?? '').slice(0, 1024), at};
  }
  // `untried`: the loader was given it and came up with the old one, by hand or because it could not start it.
  const detail =
    entry === 'exhausted'
      ? 'no boot of it reached its health checks'
      : `the machine came back on ${trial.from.version} (its boot entry: ${entry})`;
  return {version, rootHash, reason: 'did-not-boot', detail, at};
}
