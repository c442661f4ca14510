/**
 * What operators set and see of a fleet: channels, groups, rollouts, releases as the server knows them, machines and
 * their state. Operators' input refuses unknown fields; what machines send (fleet.ts) ignores them.
 */
import {Type, type Static, type TObject, type TProperties} from 'typebox';
import {
  CheckRequest,
  FailedRelease,
  labelNames,
  Labels,
  LabelName,
  MachineEvent,
  MachinePhase,
} from './fleet.ts';
import {GroupName} from './lock.ts';
import {Hex64, SemverText, Uuid} from './release.ts';

/** Values in etcd carry the schema they were written with; a newer one is refused, never guessed at. */
export const STATE_SCHEMA = 1;

/** Where state lies in etcd. Reboot locks (`locks/<group>`) are kept by services/reboot-lock. */
export const stateRoot = '/hawser/v1/';

const closed = <Properties extends TProperties>(properties: Properties): TObject<Properties> =>
  Type.Object(properties, {additionalProperties: false});

const Time = Type.String({maxLength: 40}); // RFC 3339
const Text = Type.String({maxLength: 1024});
export const ChannelName = Type.String({pattern: '^[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?$'});

/** `start` is five cron fields in the wall time of `zone` (IANA); open for `minutes` of elapsed time from each start. */
export const MaintenanceWindow = closed({
  start: Type.String({minLength: 9, maxLength: 128}),
  minutes: Type.Integer({minimum: 1, maximum: 10_080}),
  zone: Type.String({minLength: 1, maxLength: 64}),
});
export type MaintenanceWindow = Static<typeof MaintenanceWindow>;

/** As the operator writes it: exactly one of `labels`, `machines`, `share`, `domain`. */
export const WaveConfig = closed({
  name: Type.Optional(Type.String({minLength: 1, maxLength: 64})),
  /** Machines with all these labels: named canaries. */
  labels: Type.Optional(Labels),
  /** This many further machines. */
  machines: Type.Optional(Type.Integer({minimum: 1, maximum: 1_000_000})),
  /** Percent of the group that may have been reached when this wave is open, all earlier waves included. */
  share: Type.Optional(Type.Integer({minimum: 1, maximum: 100})),
  /** One wave for each value of this label, in the order of the values. */
  domain: Type.Optional(LabelName),
  windows: Type.Optional(Type.Array(MaintenanceWindow, {maxItems: 16})),
  minShare: Type.Optional(Type.Number({minimum: 0, maximum: 1})),
  soakSeconds: Type.Optional(Type.Integer({minimum: 0, maximum: 31_536_000})),
});
export type WaveConfig = Static<typeof WaveConfig>;

/** How the reboot lock of a group behaves. */
export const LockPolicy = closed({
  /** Machines down at a time: a number, or a percentage of the group (at least one). */
  slots: Type.Union([
    Type.Integer({minimum: 1, maximum: 100_000}),
    Type.String({pattern: '^(?:[1-9]|[1-9][0-9]|100)%$'}),
  ]),
  /** The label that names a machine's failure domain. */
  domain: Type.Optional(LabelName),
  /** `one-at-a-time` (default): only machines of one domain are down together; `one-per-domain`: no two of the same. */
  domainRule: Type.Optional(Type.Union([Type.Literal('one-at-a-time'), Type.Literal('one-per-domain')])),
  /** A cluster of one or two may lose its quorum for the time of a reboot. */
  allowQuorumLoss: Type.Optional(Type.Boolean()),
  /** A hung holder may be power-cycled through the machine layer. */
  powerCycle: Type.Optional(Type.Boolean()),
  /** FleetLock ids of clients without our certificates are taken at their word. */
  legacy: Type.Optional(Type.Boolean()),
});
export type LockPolicy = Static<typeof LockPolicy>;

/** `PUT /v1/groups/<name>`. */
export const GroupConfig = closed({
  description: Type.Optional(Text),
  channel: ChannelName,
  /** Absent: `{group: <name>}`. Empty: the machines that no other group selects. */
  selector: Type.Optional(Labels),
  /** Absent: one wave with all. A last wave with the rest is added when the waves do not reach 100%. */
  waves: Type.Optional(Type.Array(WaveConfig, {maxItems: 32})),
  /** Share of a wave that must be healthy on the new version before the next opens (default 1). */
  minShare: Type.Optional(Type.Number({minimum: 0, maximum: 1})),
  /** Seconds between that and the opening (default 0). */
  soakSeconds: Type.Optional(Type.Integer({minimum: 0, maximum: 31_536_000})),
  /** Outside them nothing reboots; none: always open. */
  windows: Type.Optional(Type.Array(MaintenanceWindow, {maxItems: 16})),
  /** Distinct machines whose failure stops a rollout (default 1). */
  stopAfter: Type.Optional(Type.Integer({minimum: 1, maximum: 100_000})),
  /** Seconds from the drain within which a machine must be healthy on the new version (default 3600). */
  deadlineSeconds: Type.Optional(Type.Integer({minimum: 60, maximum: 604_800})),
  /** Seconds between polls (default 300). */
  pollSeconds: Type.Optional(Type.Integer({minimum: 5, maximum: 86_400})),
  /** Machines of waves that are not open yet fetch the release already. */
  stageAhead: Type.Optional(Type.Boolean()),
  /** Hold the whole group at this version, whatever the channel says. */
  pin: Type.Optional(SemverText),
  lock: Type.Optional(LockPolicy),
});
export type GroupConfig = Static<typeof GroupConfig>;

export const Group = Type.Object({
  schema: Type.Literal(STATE_SCHEMA),
  name: GroupName,
  config: GroupConfig,
  changedAt: Time,
  changedBy: Text,
});
export type Group = Static<typeof Group>;

export const Channel = Type.Object({
  schema: Type.Literal(STATE_SCHEMA),
  name: ChannelName,
  description: Type.Optional(Text),
  /** What the channel offers now. Each promotion has its own id, so the same version can be promoted again. */
  promotion: Type.Optional(
    Type.Object({id: Type.String({maxLength: 64}), version: SemverText, at: Time, by: Text}),
  ),
  changedAt: Time,
});
export type Channel = Static<typeof Channel>;

/** `PUT /v1/releases/<version>`: what the policy needs of a signed manifest. Machines verify the manifest itself. */
export const ReleaseFacts = closed({
  version: SemverText,
  rootHash: Hex64,
  created: Time,
  barrier: Type.Boolean(),
  from: Type.Optional(Type.String({maxLength: 256})),
  downgradeFrom: Type.Optional(Type.String({maxLength: 256})),
  fullBytes: Type.Optional(Type.Integer({minimum: 0})),
});
export type ReleaseFacts = Static<typeof ReleaseFacts>;

export const KnownRelease = Type.Object({
  schema: Type.Literal(STATE_SCHEMA),
  facts: ReleaseFacts,
  registeredAt: Time,
  withdrawn: Type.Optional(Type.Object({at: Time, by: Text, reason: Text})),
});
export type KnownRelease = Static<typeof KnownRelease>;

/** One wave of a running rollout: the plan, made concrete when the rollout began, and how far it has come. */
export const RolloutWave = Type.Object({
  name: Type.String({maxLength: 256}),
  take: Type.Union([
    Type.Object({kind: Type.Literal('labels'), labels: Labels}),
    Type.Object({kind: Type.Literal('machines'), machines: Type.Integer()}),
    Type.Object({kind: Type.Literal('share'), share: Type.Integer()}),
  ]),
  windows: Type.Optional(Type.Array(MaintenanceWindow)),
  minShare: Type.Number(),
  soakSeconds: Type.Integer(),
  openedAt: Type.Optional(Time),
  /** Highest rank that the wave takes; absent for waves by labels and for the last one, which takes all. */
  upTo: Type.Optional(Type.String({maxLength: 64})),
  healthyAt: Type.Optional(Time),
});
export type RolloutWave = Static<typeof RolloutWave>;

export const rolloutStates = ['running', 'paused', 'stopped', 'aborted', 'completed'] as const;
export const RolloutState = Type.Enum([...rolloutStates]);
export type RolloutState = (typeof rolloutStates)[number];

export const Rollout = Type.Object({
  schema: Type.Literal(STATE_SCHEMA),
  /** The promotion's id. */
  id: Type.String({maxLength: 64}),
  group: GroupName,
  channel: ChannelName,
  version: SemverText,
  state: RolloutState,
  /** Why it is stopped, paused or aborted. */
  reason: Type.Optional(Text),
  startedAt: Time,
  changedAt: Time,
  waves: Type.Array(RolloutWave),
  /** Machines whose failure was known when the rollout began or was resumed: they do not stop it again. */
  forgiven: Type.Array(Uuid),
});
export type Rollout = Static<typeof Rollout>;

/** What the server keeps of a machine: its last report, and what follows from its reports over time. */
export const MachineRecord = Type.Object({
  schema: Type.Literal(STATE_SCHEMA),
  uuid: Uuid,
  firstSeen: Time,
  /** Coarse: written when something changed, else every few minutes. */
  lastSeen: Time,
  report: Type.Omit(CheckRequest, ['events']),
  /** Since when the machine is in its phase. */
  phaseSince: Time,
  /** The update that it left service for. */
  updating: Type.Optional(Type.Object({to: SemverText, since: Time})),
  /** Failures that others than the machine told of: it came back for its lock on another version. */
  noted: Type.Optional(
    Type.Array(Type.Object({version: SemverText, at: Time, reason: Text}), {maxItems: 16}),
  ),
  eventsReceived: Type.Integer({minimum: 0}),
});
export type MachineRecord = Static<typeof MachineRecord>;

/** What operators decided about one machine; kept apart from what the machine reports. */
export const Assignment = Type.Object({
  schema: Type.Literal(STATE_SCHEMA),
  uuid: Uuid,
  group: Type.Optional(GroupName),
  pin: Type.Optional(SemverText),
  /** Laid over the machine's own labels. */
  labels: Type.Optional(Labels),
  /** Its certificate is refused from then on. */
  forgotten: Type.Optional(Type.Object({at: Time, by: Text})),
});
export type Assignment = Static<typeof Assignment>;

/** `PATCH /v1/machines/<uuid or name>`: `null` takes a setting away, absence leaves it. */
export const AssignmentChange = closed({
  group: Type.Optional(Type.Union([GroupName, Type.Null()])),
  pin: Type.Optional(Type.Union([SemverText, Type.Null()])),
  labels: Type.Optional(
    Type.Record(LabelName, Type.Union([Type.String({maxLength: 63}), Type.Null()]), labelNames),
  ),
});
export type AssignmentChange = Static<typeof AssignmentChange>;

/** Who holds a reboot lock, as `fleet status` shows it; services/reboot-lock tells. */
export interface LockHolder {
  readonly group: string;
  readonly machine: string;
  readonly phase: string;
  readonly since: string;
  readonly deadline?: string;
  readonly overdue: boolean;
}

/** One line of `GET /v1/fleet`. */
export const MachineStatus = Type.Object({
  uuid: Uuid,
  name: Type.String(),
  /** Absent when no group or several claim it: `problem` says so. */
  group: Type.Optional(GroupName),
  version: SemverText,
  slot: Type.Union([Type.Literal('a'), Type.Literal('b')]),
  phase: MachinePhase,
  phaseSince: Time,
  staged: Type.Optional(SemverText),
  target: Type.Optional(SemverText),
  pin: Type.Optional(SemverText),
  labels: Labels,
  healthy: Type.Optional(Type.Boolean()),
  /** Share (0..1) of the release being fetched. */
  progress: Type.Optional(Type.Number()),
  bytesFetched: Type.Optional(Type.Integer()),
  failed: Type.Array(FailedRelease),
  lastSeen: Time,
  /** What the machine says, else what the server's answer to it is now. */
  waitsFor: Type.String(),
  /** 1 for the first. */
  wave: Type.Optional(Type.Integer()),
  /** When its wave opens or its window does, as far as that is known. */
  turnAt: Type.Optional(Time),
  holdsLock: Type.Boolean(),
  problem: Type.Optional(Type.String()),
});
export type MachineStatus = Static<typeof MachineStatus>;

export const RolloutSummary = Type.Object({
  rollout: Rollout,
  waves: Type.Array(
    Type.Object({
      name: Type.String(),
      state: Type.Union([Type.Literal('waiting'), Type.Literal('open'), Type.Literal('healthy')]),
      machines: Type.Integer(),
      done: Type.Integer(),
    }),
  ),
  machines: Type.Integer(),
  done: Type.Integer(),
  failed: Type.Integer(),
});
export type RolloutSummary = Static<typeof RolloutSummary>;

export const FleetStatus = Type.Object({
  at: Time,
  machines: Type.Array(MachineStatus),
  rollouts: Type.Array(RolloutSummary),
  locks: Type.Array(
    Type.Object({
      group: Type.String(),
      machine: Type.String(),
      phase: Type.String(),
      since: Type.String(),
      deadline: Type.Optional(Type.String()),
      overdue: Type.Boolean(),
    }),
  ),
  /** Values that this server cannot read, and what that means. */
  problems: Type.Array(Type.String()),
});
export type FleetStatus = Static<typeof FleetStatus>;

export const StoredEvent = Type.Intersect([MachineEvent, Type.Object({receivedAt: Time})]);
export type StoredEvent = Static<typeof StoredEvent>;
