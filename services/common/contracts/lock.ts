/** The reboot lock over HTTP, as Hawser's own agents use it (FleetLock's two endpoints stand beside it). */
import {Type, type Static} from 'typebox';
import {SemverText, Uuid} from './release.ts';

export const GroupName = Type.String({pattern: '^[a-zA-Z0-9.-]{1,64}$'}); // FleetLock: client_params.group
export const LockPhase = Type.Union([
  Type.Literal('draining'),
  Type.Literal('rebooting'),
  Type.Literal('proving'),
  Type.Literal('returning'),
]);
export type LockPhase = Static<typeof LockPhase>;

/** What the machine sees of a cluster that it is part of, asked just now: the ground for a quorum guard. */
export const ClusterFacts = Type.Object({
  kind: Type.Union([Type.Literal('etcd'), Type.Literal('swarm')]),
  cluster: Type.String({maxLength: 128}),
  /** Voting members (etcd) or managers (Swarm). */
  members: Type.Integer({minimum: 1, maximum: 1000}),
  /** Of these, how many answer now, this machine included. */
  healthy: Type.Integer({minimum: 0, maximum: 1000}),
});
export type ClusterFacts = Static<typeof ClusterFacts>;

/** `POST /v1/lock/acquire`: idempotent; the holder gets its own slot again with the same fence. */
export const AcquireRequest = Type.Object({
  from: SemverText,
  to: SemverText,
  /** Seconds that the machine expects to need until it releases; past it an alert is raised, never a slot freed. */
  expectedSeconds: Type.Integer({minimum: 30, maximum: 86_400}),
  clusters: Type.Array(ClusterFacts, {maxItems: 8}),
});
export type AcquireRequest = Static<typeof AcquireRequest>;

/** 200. */
export const AcquireAnswer = Type.Object({
  group: GroupName,
  /** etcd revision at which the slot was taken: grows with every grant; a stale holder is told by it. */
  fence: Type.String({pattern: '^[0-9]{1,20}$'}),
  /** RFC 3339. */
  deadline: Type.String(),
});
export type AcquireAnswer = Static<typeof AcquireAnswer>;

/**
 * 409: wait and ask again. 503 and no answer at all are faults, and never mean "go".
 * `all-slots-held`, `domain-held` (another machine of a failure domain that may not overlap), `quorum`,
 * `halted` (a holder's deadline passed, or the rollout stopped).
 */
export const refusalKinds = ['all-slots-held', 'domain-held', 'quorum', 'halted'] as const;
export const LockRefusal = Type.Object({
  kind: Type.Enum(refusalKinds),
  message: Type.String(),
  holders: Type.Array(
    Type.Object({machine: Type.String(), name: Type.String(), phase: LockPhase, since: Type.String()}),
  ),
});
export type LockRefusal = Static<typeof LockRefusal>;

/** `POST /v1/lock/phase`. 409 `fenced` when the slot is no longer this holder's. */
export const PhaseRequest = Type.Object({fence: Type.String({pattern: '^[0-9]{1,20}$'}), phase: LockPhase});
export type PhaseRequest = Static<typeof PhaseRequest>;

/** `POST /v1/lock/release`: the proof that the machine is healthy. Fine when nothing is held. */
export const ReleaseRequest = Type.Object({
  fence: Type.Optional(Type.String({pattern: '^[0-9]{1,20}$'})),
  /** The version that runs now; when it is not the one the slot was taken for, the update failed. */
  version: SemverText,
  healthy: Type.Literal(true),
  /**
   * False: the machine knows that it did not reboot into that release since it took the slot, so the update was put off
   * and did not fail, whatever phase was reported last. When absent, that phase decides.
   */
  rebooted: Type.Optional(Type.Boolean()),
});
export type ReleaseRequest = Static<typeof ReleaseRequest>;

/**
 * What became of the release. `updated`: the machine runs what it took the slot for. `failed`: it came back on another
 * version; the slot is free, and the failure was reported to the rollout before that. `put-off`: it never rebooted.
 * `nothing-held`: there was nothing to release.
 */
export const releaseOutcomes = ['updated', 'failed', 'put-off', 'nothing-held'] as const;
export const ReleaseAnswer = Type.Object({outcome: Type.Enum(releaseOutcomes)});
export type ReleaseAnswer = Static<typeof ReleaseAnswer>;

/** A held slot, as operators see it. */
export const HeldSlot = Type.Object({
  slot: Type.Integer({minimum: 1}),
  machine: Type.String(),
  name: Type.String(),
  from: Type.Optional(Type.String()),
  to: Type.Optional(Type.String()),
  phase: LockPhase,
  since: Type.String(),
  deadline: Type.String(),
  overdue: Type.Boolean(),
  fence: Type.String(),
  domain: Type.Optional(Type.String()),
  /** `agent`: released by proof of health. `fleet-lock`: another client, whose word proves none. */
  via: Type.Union([Type.Literal('agent'), Type.Literal('fleet-lock')]),
  powerCycled: Type.Optional(Type.String()),
});
export type HeldSlot = Static<typeof HeldSlot>;

/** `GET /v1/locks`. */
export const LockList = Type.Object({
  groups: Type.Array(
    Type.Object({
      group: GroupName,
      /** Absent for a group that the server no longer knows. */
      slots: Type.Optional(Type.Integer({minimum: 0})),
      /** Why nobody gets a slot. */
      halted: Type.Optional(Type.String()),
      holders: Type.Array(HeldSlot),
    }),
  ),
});
export type LockList = Static<typeof LockList>;

/** `POST /v1/locks/:group/release`: an operator takes a slot away, for a reason that is kept. */
export const OperatorRelease = Type.Object({
  /** UUID or name of the machine. */
  machine: Type.String({minLength: 1, maxLength: 128}),
  reason: Type.String({minLength: 1, maxLength: 512, pattern: '\\S'}),
});
export type OperatorRelease = Static<typeof OperatorRelease>;

/** `POST /v1/locks/gone`: the machine layer says that a machine exists no more. */
export const MachineGone = Type.Object({machine: Uuid});
export const MachineGoneAnswer = Type.Object({freed: Type.Array(GroupName)});
export type MachineGoneAnswer = Static<typeof MachineGoneAnswer>;
