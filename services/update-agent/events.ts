/** What can come back from the outside. Denied, unreachable and failed are three different things everywhere. */
import type {ReleaseManifest} from '../common/contracts/release.ts';
import type {StagedRelease} from './states.ts';

interface Reason {
  readonly detail: string;
}

interface EventData {
  /** The timer, or the operator. */
  readonly wake: {};
  /** The operator wants the release in the other slot. */
  readonly 'rollback-asked': {readonly release: StagedRelease};

  readonly 'answer-none': Reason;
  readonly 'answer-stage': Reason & {readonly version: string};
  readonly 'answer-apply': Reason & {readonly version: string};
  readonly 'server-unreachable': Reason;
  readonly 'server-refused': Reason;
  readonly 'server-failed': Reason;

  /** `barriers`: versions of all barrier releases in the signed metadata. */
  readonly 'metadata-verified': {readonly release: ReleaseManifest; readonly barriers: readonly string[]};
  readonly 'release-unknown': Reason;
  readonly 'metadata-unreachable': Reason;
  readonly 'metadata-rejected': Reason;

  readonly 'slot-written': {};
  readonly 'fetch-unreachable': Reason;
  readonly 'payload-damaged': Reason;
  readonly 'stage-failed': Reason;

  readonly 'uki-placed': {};
  readonly 'esp-full': Reason;
  readonly 'place-failed': Reason;

  readonly 'lock-granted': {readonly fence: string};
  readonly 'lock-refused': Reason & {readonly refusal: string};
  readonly 'lock-unreachable': Reason;
  readonly 'lock-failed': Reason;
  readonly 'lock-confirmed': {};
  readonly 'lock-lost': Reason;

  readonly drained: {};
  readonly 'drain-blocked': Reason;
  readonly 'drain-failed': Reason;

  readonly armed: {};
  readonly 'arm-failed': Reason;
  readonly 'reboot-requested': {};
  readonly 'reboot-failed': Reason;

  readonly healthy: {};
  readonly unhealthy: Reason;
  readonly blessed: {};
  readonly 'bless-failed': Reason;

  readonly returned: {};
  readonly 'return-failed': Reason;
  readonly 'lock-released': {};

  readonly dropped: {};
  readonly 'drop-failed': Reason;
}

export type EventKind = keyof EventData;
export type EventOf<Kind extends EventKind> = Kind extends EventKind
  ? {readonly kind: Kind} & EventData[Kind]
  : never;
export type AgentEvent = EventOf<EventKind>;
