/** What the machine wants done, as data. The runner has one executor for each; a missing one does not compile. */
import type {FailedRelease, MachinePhase} from '../common/contracts/fleet.ts';
import type {LockPhase} from '../common/contracts/lock.ts';
import type {ReleaseManifest} from '../common/contracts/release.ts';
import type {EventKind} from './events.ts';
import type {RecordChange} from './record.ts';
import type {StagedRelease, Verdict} from './states.ts';

interface CommandData {
  // Told: nothing comes back.
  readonly remember: {readonly change: RecordChange};
  readonly rememberFailed: {readonly failed: FailedRelease};
  /** An event for the server and the journal. */
  readonly note: {readonly event: string; readonly version?: string; readonly detail?: string};
  readonly rememberVerdict: {readonly verdict: Verdict; readonly detail?: string};
  readonly rememberReboots: {readonly reboots: number};
  /** One more update in a row that was put off: the next attempt waits longer. */
  readonly countPutOff: {};
  readonly takeBaseline: {};
  /** After an update: the boot loader's second place, UKIs that are of no use any more. */
  readonly tidy: {};
  /** Takes from a staged release the name by which it would boot. Nothing when it has none. */
  readonly disarm: {readonly release: StagedRelease};
  /** Tells server and lock where the machine is; whether it arrives does not matter. */
  readonly report: {
    readonly phase: MachinePhase;
    readonly lock?: {readonly fence: string; readonly phase: LockPhase};
  };
  /** The end of a tick: `poll` in the server's time, `retry` sooner, `now` at once in a new tick. */
  readonly rest: {readonly wake: 'poll' | 'retry' | 'now' | 'never'; readonly waitsFor?: string};

  // Asked: exactly one event comes back.
  readonly checkServer: {};
  readonly refreshMetadata: {readonly version: string};
  readonly stage: {readonly release: ReleaseManifest};
  readonly placeUki: {readonly release: ReleaseManifest};
  readonly acquireLock: {readonly from: string; readonly to: string};
  readonly confirmLock: {readonly fence: string};
  readonly drain: {};
  readonly arm: {readonly release: StagedRelease};
  readonly reboot: {};
  readonly proveHealth: {};
  readonly bless: {};
  readonly markBadAndReboot: {readonly version: string};
  readonly returnToService: {};
  /** `rebooted`: into the release that the slot was taken for, whatever came of it; false is an update put off. */
  readonly releaseLock: {readonly rebooted: boolean; readonly fence?: string};
  readonly dropStaged: {readonly version: string};
}

export type CommandName = keyof CommandData;
export type CommandOf<Name extends CommandName> = Name extends CommandName
  ? {readonly do: Name} & CommandData[Name]
  : never;
export type Command = CommandOf<CommandName>;

/** Commands that nothing comes back from. All others end a list, and bring one event. */
export const toldCommands = [
  'remember',
  'rememberFailed',
  'note',
  'rememberVerdict',
  'rememberReboots',
  'countPutOff',
  'takeBaseline',
  'tidy',
  'disarm',
  'report',
  'rest',
] as const satisfies readonly CommandName[];
export type ToldCommand = (typeof toldCommands)[number];
export type AskedCommand = Exclude<CommandName, ToldCommand>;

/** What each asked command can bring: a test holds every state in which it is given to having an answer to all of it. */
export const answersTo = {
  checkServer: [
    'answer-none',
    'answer-stage',
    'answer-apply',
    'server-unreachable',
    'server-refused',
    'server-failed',
  ],
  refreshMetadata: ['metadata-verified', 'release-unknown', 'metadata-unreachable', 'metadata-rejected'],
  stage: ['slot-written', 'fetch-unreachable', 'payload-damaged', 'esp-full', 'stage-failed'],
  placeUki: ['uki-placed', 'esp-full', 'place-failed'],
  acquireLock: ['lock-granted', 'lock-refused', 'lock-unreachable', 'lock-failed'],
  confirmLock: ['lock-confirmed', 'lock-lost', 'lock-unreachable', 'lock-failed'],
  drain: ['drained', 'drain-blocked', 'drain-failed'],
  arm: ['armed', 'arm-failed'],
  reboot: ['reboot-requested', 'reboot-failed'],
  proveHealth: ['healthy', 'unhealthy'],
  bless: ['blessed', 'bless-failed'],
  markBadAndReboot: ['reboot-requested', 'reboot-failed'],
  returnToService: ['returned', 'return-failed'],
  releaseLock: ['lock-released', 'lock-lost', 'lock-unreachable', 'lock-failed'],
  dropStaged: ['dropped', 'drop-failed'],
} as const satisfies Readonly<Record<AskedCommand, readonly EventKind[]>>;
