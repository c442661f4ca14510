/** Operators' tokens as etcd keeps them: a digest only, so that who reads etcd can act as nobody. */
import {Type, type Static} from 'typebox';
import {STATE_SCHEMA} from '../common/contracts/policy.ts';
import {operatorRoles} from '../common/contracts/caller.ts';

export const OperatorRoleSchema = Type.Enum([...operatorRoles]);

export const Token = Type.Object({
  schema: Type.Literal(STATE_SCHEMA),
  id: Type.String({pattern: '^[0-9a-f]{16}$'}),
  name: Type.String({minLength: 1, maxLength: 64}),
  role: OperatorRoleSchema,
  /** Hex SHA-256 of the secret half: 256 random bits need no slow hash. */
  digest: Type.String({pattern: '^[0-9a-f]{64}$'}),
  createdAt: Type.String({maxLength: 40}),
  createdBy: Type.String({maxLength: 128}),
  /** Only good for `POST /v1/login`, once. */
  oneTime: Type.Optional(Type.Boolean()),
});
export type Token = Static<typeof Token>;
