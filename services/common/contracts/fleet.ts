/** Messages between a host's update agent and the update server. The caller is the client certificate, never the body. */
import {Type, type Static} from 'typebox';
import {Hex64, SemverText} from './release.ts';

/**
 * What a machine is doing about updates. `idle`: nothing to do; `fetching`: filling the idle slot; `staged`: written,
 * proven and bootable, waiting for its turn; `locking`: asks for the reboot lock; `draining`; `rebooting`; `proving`:
 * booted, health not yet shown; `returning`: healthy, on its way back into service; `fell-back`: runs the old release
 * after the new one failed.
 */
export const machinePhases = [
  'idle',
  'fetching',
  'staged',
  'locking',
  'draining',
  'rebooting',
  'proving',
  'returning',
  'fell-back',
] as const;
export const MachinePhase = Type.Enum(machinePhases);
export type MachinePhase = (typeof machinePhases)[number];

/** Label names and values: as in Kubernetes, without a prefix. */
export const LabelName = Type.String({pattern: '^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$'});
/** A record alone would let names through that are no label names. */
export const labelNames = {additionalProperties: false, maxProperties: 64};
export const Labels = Type.Record(LabelName, Type.String({maxLength: 63}), labelNames);
export type Labels = Static<typeof Labels>;

/** A release that this machine tried and will not try again. */
export const FailedRelease = Type.Object({
  version: SemverText,
  rootHash: Hex64,
  /** Low-cardinality: `unhealthy`, `did-not-boot`, `payload-damaged`, ... */
  reason: Type.String({maxLength: 64}),
  detail: Type.String({maxLength: 1024}),
  /** RFC 3339. */
  at: Type.String({maxLength: 40}),
});
export type FailedRelease = Static<typeof FailedRelease>;

export const MachineEvent = Type.Object({
  /** Grows by one for each event of a machine, over reboots: lets the server drop what it has already. */
  sequence: Type.Integer({minimum: 1}),
  at: Type.String({maxLength: 40}),
  kind: Type.String({pattern: '^[a-z][a-z-]{0,63}$'}),
  version: Type.Optional(SemverText),
  detail: Type.Optional(Type.String({maxLength: 2048})),
});
export type MachineEvent = Static<typeof MachineEvent>;

/** `POST /v1/check`. */
export const CheckRequest = Type.Object({
  name: Type.String({minLength: 1, maxLength: 64}),
  version: SemverText,
  rootHash: Hex64,
  slot: Type.Union([Type.Literal('a'), Type.Literal('b')]),
  bootId: Type.String({maxLength: 36}),
  phase: MachinePhase,
  /** The release in the idle slot that waits for its reboot. */
  staged: Type.Optional(SemverText),
  labels: Labels,
  failed: Type.Array(FailedRelease, {maxItems: 16}),
  /** What holds this machine up, in words for `hawser fleet status`. */
  waitsFor: Type.Optional(Type.String({maxLength: 512})),
  /** Bytes fetched for, and share (0..1) of, the release being fetched or fetched last. */
  progress: Type.Optional(
    Type.Object({bytesFetched: Type.Integer({minimum: 0}), share: Type.Number({minimum: 0, maximum: 1})}),
  ),
  healthy: Type.Optional(Type.Boolean()),
  events: Type.Array(MachineEvent, {maxItems: 64}),
});
export type CheckRequest = Static<typeof CheckRequest>;

export const CheckAnswer = Type.Object({
  /**
   * `none`: stay (a staged release is dropped); `stage`: fetch and stage `version`; `apply`: also reboot into it, under
   * the lock. The version is only a choice among signed releases: the machine verifies it itself.
   */
  action: Type.Union([Type.Literal('none'), Type.Literal('stage'), Type.Literal('apply')]),
  version: Type.Optional(SemverText),
  /** Why, in words: `up to date`, `wave 2 of 4 begins at ...`, `rollout stopped: ...`. */
  reason: Type.String({maxLength: 512}),
  /** Base addresses of repositories, tried in order; absent: `<server>/repository/`. */
  repositories: Type.Optional(Type.Array(Type.String({maxLength: 2048}), {maxItems: 8})),
  /** Seconds until the next poll. */
  pollSeconds: Type.Integer({minimum: 5, maximum: 86_400}),
  /** Highest sequence number of this machine's events that the server has. */
  eventsReceived: Type.Integer({minimum: 0}),
});
export type CheckAnswer = Static<typeof CheckAnswer>;

/** Body of every error answer: `kind` for programs (few values), `message` for people. */
export const ErrorAnswer = Type.Object({kind: Type.String(), message: Type.String()});
export type ErrorAnswer = Static<typeof ErrorAnswer>;
