/** What the machine can be doing, as values. Each state carries only what it needs. */
import type {FailedRelease, MachinePhase} from '../common/contracts/fleet.ts';
import type {ReleaseManifest} from '../common/contracts/release.ts';

/** What is needed of a release once it is in the idle slot. */
export interface StagedRelease {
  readonly version: string;
  readonly rootHash: string;
  /** Boots only when it is asked for by name: the loader would choose the newer one that runs. */
  readonly downgrade: boolean;
  /** `slot`: it was there already, and proven good: nothing is fetched, nothing is dropped. */
  readonly source: 'fetched' | 'slot';
}

/** A release that runs, or ran. */
export interface ReleaseName {
  readonly version: string;
  readonly rootHash: string;
}

export type Verdict = 'healthy' | 'unhealthy';

interface StateData {
  readonly idle: {};
  readonly fetching: {
    readonly version: string;
    /** Known and accepted once the metadata was verified. */
    readonly release?: ReleaseManifest;
    /** Fetches that began, of at most `maxFetchAttempts`. */
    readonly attempts: number;
    /** Times that what came did not match its hash, of at most `maxDamaged`. */
    readonly damaged: number;
  };
  readonly staged: {readonly release: StagedRelease};
  readonly locking: {
    readonly release: StagedRelease;
    /** Out of service already, by an earlier run of this agent. */
    readonly drained: boolean;
  };
  readonly draining: {readonly release: StagedRelease; readonly fence: string};
  readonly rebooting: {readonly release: StagedRelease; readonly fence: string};
  readonly proving: {
    readonly release: ReleaseName;
    readonly fence?: string;
    readonly verdict?: Verdict;
    /** The operator went back from it: it will not be installed again by itself. */
    readonly replaced?: ReleaseName;
    /** Reboots after the verdict `unhealthy`, of at most `maxFallBackReboots`. */
    readonly reboots: number;
  };
  readonly returning: {
    readonly outcome: 'updated' | 'put-off';
    readonly version: string;
    readonly fence?: string;
  };
  readonly 'fell-back': {readonly failed: FailedRelease; readonly fence?: string};
}

export type StateOf<Phase extends MachinePhase> = Phase extends MachinePhase
  ? {readonly phase: Phase} & StateData[Phase]
  : never;
export type State = StateOf<MachinePhase>;

/** What a step may know beside the state: facts and the operator's wishes, never a clock. */
export interface Policy {
  readonly own: ReleaseName;
  /** RFC 3339: the time of this step. */
  readonly now: string;
  /** The running release has proven itself: only then may the other slot be written. */
  readonly proven: boolean;
  readonly failed: readonly FailedRelease[];
  readonly onDrainTimeout: 'wait' | 'force';
  readonly operator: {readonly allowDowngrade: boolean; readonly apply: boolean};
  /** Runs as the gate of a boot: a good verdict is handed to systemd, which blesses. */
  readonly gate: boolean;
}
