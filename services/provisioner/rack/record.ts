/** What a rack remembers of a machine: one value, changed by transitions.ts alone. Pure. */
import {Type, type Static} from 'typebox';
import {Hex64, SemverText, Uuid} from '../../common/contracts/release.ts';
import {PermitId, PermittedDisk, RackReport, RackState} from '../../common/contracts/rack.ts';

/** Events that are kept; the older ones go. */
export const MAX_EVENTS = 200;

export const RackEvent = Type.Object({
  /** Milliseconds since the epoch. */
  at: Type.Integer(),
  kind: Type.String(),
  /** An operator's name, or `machine`. */
  by: Type.String(),
  detail: Type.String(),
});
export type RackEvent = Static<typeof RackEvent>;

/** A permit as the server keeps it. Its token is derived from the id, never stored. */
export const StoredPermit = Type.Object({
  id: PermitId,
  /** Whose keys it is sealed to. */
  fingerprint: Type.String(),
  disk: PermittedDisk,
  version: SemverText,
  rootHash: Hex64,
  keepData: Type.Boolean(),
  encryption: Type.Union([Type.Literal('none'), Type.Literal('tpm2'), Type.Literal('tpm2-if-present')]),
  expires: Type.Integer(),
  /** Of the machine's enrolment. */
  generation: Type.Integer({minimum: 1}),
  /** Burned: by this attempt. */
  begun: Type.Optional(Type.Object({attempt: Type.String(), at: Type.Integer()})),
  /** The config was handed out without the machine's signature, which happens once. */
  configTaken: Type.Boolean(),
});
export type StoredPermit = Static<typeof StoredPermit>;

export const RackMachine = Type.Object({
  schema: Type.Literal(1),
  machine: Uuid,
  state: RackState,
  name: Type.Optional(Type.String({maxLength: 64})),
  group: Type.Optional(Type.String()),
  labels: Type.Record(Type.String(), Type.String()),
  report: RackReport,
  /** By the server's clock. */
  reportedAt: Type.Integer(),
  /** Permits that there were, and so the generation of the last one. */
  generation: Type.Integer({minimum: 0}),
  permit: Type.Optional(StoredPermit),
  /** The next installation keeps what is on the disk. */
  keepData: Type.Boolean(),
  /** Why it is quarantined. */
  reason: Type.Optional(Type.String({maxLength: 512})),
  events: Type.Array(RackEvent, {maxItems: MAX_EVENTS}),
});
export type RackMachine = Static<typeof RackMachine>;
