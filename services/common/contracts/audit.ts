/** What operators did, and what the server did by itself: values below `audit/<time>-<id>` in etcd, `GET /v1/audit`. */
import {Type, type Static} from 'typebox';

/** Written in the same transaction as what it tells of; never changed. */
export const AuditRecord = Type.Object({
  schema: Type.Literal(1),
  /** RFC 3339. */
  at: Type.String(),
  /** An operator's name, or the part that acted by itself (`watchdog`). */
  by: Type.String(),
  /** For instance `rollout-paused` or `lock-released`. */
  action: Type.String(),
  /** The value that was changed: its key below the root of the state, for instance `channels/stable`. */
  subject: Type.String(),
  /** UUID, where one machine is concerned. */
  machine: Type.Optional(Type.String()),
  detail: Type.Optional(Type.String()),
});
export type AuditRecord = Static<typeof AuditRecord>;

/** `GET /v1/audit?limit=100&before=ID`: newest first. */
export const AuditList = Type.Object({
  entries: Type.Array(Type.Intersect([Type.Object({id: Type.String()}), Type.Omit(AuditRecord, ['schema'])])),
  /** Entries that this server cannot read, and why. */
  problems: Type.Array(Type.String()),
  /** There may be older ones: ask for those before this id. */
  before: Type.Optional(Type.String()),
});
export type AuditList = Static<typeof AuditList>;

export const AuditQuery = Type.Object(
  {
    // A query is text; numbers in it are not coerced.
    limit: Type.Optional(Type.String({pattern: '^(?:[1-9][0-9]{0,2}|1000)$'})),
    before: Type.Optional(Type.String({pattern: '^[0-9TZ:.-]{1,40}[0-9a-f-]{1,40}$'})),
  },
  {additionalProperties: false},
);
