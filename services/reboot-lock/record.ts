/**
 * What stands in etcd for a group: one JSON value, its holders. Pure.
 *
 * The fence of a grant is the etcd revision that the grant itself makes, which the written value cannot know. So the
 * value of a grant is written without it, and whoever reads it takes the key's modification revision; the next change
 * of the group writes it down.
 */
import {Type, type Static} from 'typebox';
import {Compile} from 'typebox/compile';
import {ClusterFacts, GroupName, LockPhase} from '../common/contracts/lock.ts';
import {LockError} from './errors.ts';

export const SCHEMA = 1;

const StoredHolder = Type.Object({
  slot: Type.Integer({minimum: 1}),
  machine: Type.String({minLength: 1, maxLength: 128}),
  name: Type.String({maxLength: 128}),
  from: Type.Optional(Type.String()),
  to: Type.Optional(Type.String()),
  phase: LockPhase,
  /** RFC 3339, as all times here. */
  since: Type.String(),
  deadline: Type.String(),
  fence: Type.Optional(Type.String({pattern: '^[0-9]{1,20}$'})),
  domain: Type.Optional(Type.String()),
  clusters: Type.Array(ClusterFacts),
  via: Type.Union([Type.Literal('agent'), Type.Literal('fleet-lock')]),
  powerCycled: Type.Optional(Type.String()),
});
/** A holder; without `fence` it was granted by the write that is about to be made. */
export type Holder = Static<typeof StoredHolder>;

const StoredLock = Type.Object({
  schema: Type.Literal(SCHEMA),
  group: GroupName,
  holders: Type.Array(StoredHolder),
});

let validator: ReturnType<typeof Compile<typeof StoredLock>> | undefined;

/** The holders of a group, oldest slot first. */
export interface LockState {
  readonly group: string;
  readonly holders: readonly Holder[];
}

export function emptyLock(group: string): LockState {
  return {group, holders: []};
}

export function encodeLock(state: LockState): string {
  return JSON.stringify({schema: SCHEMA, group: state.group, holders: state.holders});
}

/** Throws {@link LockError} `newer-schema` or `damaged-value`; `key` names the value in the message. */
export function decodeLock(text: string, revision: string, key: string): LockState {
  const value = parse(text, key);
  const schema: unknown =
    typeof value === 'object' && value !== null && 'schema' in value ? value.schema : undefined;
  if (typeof schema === 'number' && schema > SCHEMA) {
    throw new LockError('newer-schema', `${key} has schema ${schema}, this server knows ${SCHEMA}`, {
      remedy: 'update this server to the version of the others; nothing was changed',
    });
  }
  // Compiled on first use: a command that needs no server should not pay for it.
  validator ??= Compile(StoredLock);
  if (!validator.Check(value)) {
    const [first] = validator.Errors(value);
    throw damaged(key, `${first?.instancePath ?? ''} ${first?.message ?? 'wrong shape'}`.trim());
  }
  return {
    group: value.group,
    holders: value.holders.map(holder => ({...holder, fence: holder.fence ?? revision})),
  };
}

function parse(text: string, key: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw damaged(key, 'not JSON', error);
  }
}

function damaged(key: string, what: string, cause?: unknown): LockError {
  return new LockError('damaged-value', `${key} cannot be read: ${what}`, {
    remedy: 'look at it with etcdctl get; nothing was changed',
    cause,
  });
}
