/** What the runner needs of the outside. Adapters and test doubles implement exactly this. */
import type {CheckRequest} from '../common/contracts/fleet.ts';
import type {AcquireRequest, ClusterFacts, PhaseRequest, ReleaseRequest} from '../common/contracts/lock.ts';
import type {ReleaseManifest} from '../common/contracts/release.ts';
import type {EventOf} from './events.ts';
import type {AgentRecord} from './record.ts';
import type {ReleaseName, StagedRelease} from './states.ts';
import type {TrialEntry} from './recover.ts';

export interface MachineFacts {
  readonly own: ReleaseName;
  readonly slot: 'a' | 'b';
  readonly bootId: string;
  /** The running boot entry has no counter (any more). */
  readonly proven: boolean;
  trialEntry(version: string): TrialEntry;
  /** A release in the idle slot whose boot entry proved itself earlier. */
  readonly other: StagedRelease | undefined;
}

export interface CheckReply {
  readonly event: EventOf<
    | 'answer-none'
    | 'answer-stage'
    | 'answer-apply'
    | 'server-unreachable'
    | 'server-refused'
    | 'server-failed'
  >;
  /** Of an answer. */
  readonly eventsReceived?: number;
  readonly pollSeconds?: number;
  readonly repositories?: readonly string[];
}

export type LockFault = EventOf<'lock-unreachable' | 'lock-failed'>;

export interface ServerPort {
  check(request: CheckRequest): Promise<CheckReply>;
  acquire(request: AcquireRequest): Promise<EventOf<'lock-granted' | 'lock-refused'> | LockFault>;
  phase(request: PhaseRequest): Promise<EventOf<'lock-confirmed' | 'lock-lost'> | LockFault>;
  release(request: ReleaseRequest): Promise<EventOf<'lock-released' | 'lock-lost'> | LockFault>;
}

/** Signed metadata; `repositories` in the order in which they are tried. */
export interface ReleasePort {
  verify(
    version: string,
    repositories: readonly string[],
  ): Promise<EventOf<'metadata-verified' | 'release-unknown' | 'metadata-unreachable' | 'metadata-rejected'>>;
}

export interface StageProgress {
  readonly bytesFetched: number;
  readonly share: number;
}

/** The idle slot and the ESP. Nothing behind this port touches the running slot or its boot entry. */
export interface SlotPort {
  stage(
    release: ReleaseManifest,
    repositories: readonly string[],
    onProgress: (progress: StageProgress) => void,
  ): Promise<EventOf<'slot-written' | 'fetch-unreachable' | 'payload-damaged' | 'esp-full' | 'stage-failed'>>;
  placeUki(release: ReleaseManifest): Promise<EventOf<'uki-placed' | 'esp-full' | 'place-failed'>>;
  arm(release: StagedRelease): Promise<EventOf<'armed' | 'arm-failed'>>;
  disarm(release: StagedRelease): Promise<void>;
  drop(version: string): Promise<EventOf<'dropped' | 'drop-failed'>>;
  tidy(): Promise<void>;
}

export interface BootPort {
  bless(): Promise<EventOf<'blessed' | 'bless-failed'>>;
  markBad(version: string): Promise<void>;
  /** Returns once the reboot is on its way. */
  reboot(): Promise<EventOf<'reboot-requested' | 'reboot-failed'>>;
}

export interface HealthPort {
  takeBaseline(): Promise<void>;
  /** Waits until all is well and stays so, or until the time is up. */
  prove(): Promise<EventOf<'healthy' | 'unhealthy'>>;
  /** The longest time that `prove` may take. */
  readonly limitSeconds: number;
}

export interface DrainPort {
  drain(waiting: (what: string) => void): Promise<EventOf<'drained' | 'drain-blocked' | 'drain-failed'>>;
  undo(waiting: (what: string) => void): Promise<EventOf<'returned' | 'return-failed'>>;
  clusters(): Promise<readonly ClusterFacts[]>;
}

export interface RecordPort {
  load(): Promise<AgentRecord>;
  save(record: AgentRecord): Promise<void>;
}

export interface AgentPorts {
  facts(): Promise<MachineFacts>;
  readonly record: RecordPort;
  readonly server: ServerPort;
  readonly releases: ReleasePort;
  readonly slots: SlotPort;
  readonly boot: BootPort;
  readonly health: HealthPort;
  readonly drain: DrainPort;
  log(line: string): void;
}

export interface AgentSettings {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly repositories: readonly string[];
  /** The default when the server's answer names no other. */
  readonly pollSeconds: number;
  readonly onDrainTimeout: 'wait' | 'force';
  /** What drain, reboot, proof and return may take together: the deadline that the lock is asked for. */
  readonly expectedSeconds: number;
}
