/** From and to the JSON values in etcd: each kind has its schema, and a newer one is told apart from a damaged one. */
import type {Static, TSchema} from 'typebox';
import {Compile} from 'typebox/compile';
import {AuditRecord} from '../common/contracts/audit.ts';
import {
  Assignment,
  Channel,
  Group,
  KnownRelease,
  MachineRecord,
  Rollout,
  STATE_SCHEMA,
  StoredEvent,
} from '../common/contracts/policy.ts';
import {ServerError} from './errors.ts';
import {Token} from './token-record.ts';

function codec<Schema extends TSchema>(schema: Schema): Codec<Static<Schema>> {
  // Compiled on first use: a command that needs no server should not pay for it.
  let validator: ReturnType<typeof Compile<Schema>> | undefined;
  return {
    decode: (key, text) => {
      const value = parse(key, text);
      const version = typeof value === 'object' && value !== null && 'schema' in value ? value.schema : 1;
      if (typeof version === 'number' && version > STATE_SCHEMA) {
        throw new ServerError(
          'newer-schema',
          `${key} was written with schema ${version}, and this server knows schema ${STATE_SCHEMA}`,
          {remedy: 'update the server; nothing was changed'},
        );
      }
      validator ??= Compile(schema);
      if (validator.Check(value)) return value;
      const [first] = validator.Errors(value);
      throw damaged(key, `${first?.instancePath ?? ''} ${first?.message ?? 'has the wrong shape'}`.trim());
    },
  };
}

export interface Codec<Value> {
  /** Throws `newer-schema` or `damaged-value`, both naming the key. */
  decode(key: string, text: string): Value;
}

/** Every value is written as it is read: JSON, its schema number inside. */
export function encode(value: object): string {
  return JSON.stringify(value);
}

function parse(key: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw damaged(key, 'it is not JSON', error);
  }
}

function damaged(key: string, why: string, cause?: unknown): ServerError {
  return new ServerError('damaged-value', `${key} cannot be read: ${why}`, {
    remedy: 'restore it from a backup of etcd, or delete the key',
    cause,
  });
}

export const codecs = {
  assignments: codec(Assignment),
  channels: codec(Channel),
  groups: codec(Group),
  machines: codec(MachineRecord),
  releases: codec(KnownRelease),
  rollouts: codec(Rollout),
  tokens: codec(Token),
  events: codec(StoredEvent),
  audit: codec(AuditRecord),
} as const;
