/**
 * The ledger of tokens: which machine was promised which token, and which certificate it bought. Pure: records in,
 * decisions and new records out. A token is single use because a record, once it has `issued`, never gets another.
 */
import {Type, type Static} from 'typebox';
import type {EnrolmentRequest} from '../../common/contracts/enrolment.ts';
import {EnrolmentError} from './errors.ts';

const Issued = Type.Object({
  /** SHA-256 of the SubjectPublicKeyInfo. */
  publicKey: Type.String(),
  sshHostKey: Type.String(),
  certificate: Type.String(),
  /** Seconds since the epoch. */
  at: Type.Integer(),
});

const TokenRecord = Type.Object({
  generation: Type.Integer({minimum: 1}),
  name: Type.String(),
  /** Names and addresses for the certificate beside the machine's own. */
  names: Type.Array(Type.String()),
  /** Seconds since the epoch. */
  expires: Type.Integer({minimum: 0}),
  server: Type.Optional(Type.Object({url: Type.String(), ca: Type.String()})),
  issued: Type.Optional(Issued),
});
export type TokenRecord = Static<typeof TokenRecord>;

/** All that is known of one machine. Generations ascend; only the last one's token is worth anything. */
export const MachineRecord = Type.Object({
  format: Type.Literal(1),
  machine: Type.String(),
  tokens: Type.Array(TokenRecord, {minItems: 1}),
});
export type MachineRecord = Static<typeof MachineRecord>;

/** What the operator's side asks for. */
export interface TokenOrder {
  readonly machine: string;
  readonly name: string;
  readonly generation: number;
  readonly lifetimeSeconds: number;
  readonly names?: readonly string[] | undefined;
  readonly server?: {readonly url: string; readonly ca: string} | undefined;
}

/**
 * Books a token. The same generation again returns what was booked first, deadline and server included: a create that
 * is tried again must send the cloud the same bytes. Throws `stale-generation` or `issued-differently`.
 */
export function book(
  record: MachineRecord | undefined,
  order: TokenOrder,
  nowSeconds: number,
): {token: TokenRecord; changed?: MachineRecord} {
  const earlier = record?.tokens ?? [];
  const last = earlier.at(-1);
  if (last !== undefined && last.generation === order.generation) {
    if (last.name === order.name) return {token: last};
    throw new EnrolmentError(
      'issued-differently',
      `generation ${order.generation} was issued to "${last.name}"`,
      {
        remedy: 'issue the next generation',
      },
    );
  }
  if (last !== undefined && last.generation > order.generation) {
    throw new EnrolmentError(
      'stale-generation',
      `"${last.name}" is at generation ${last.generation} already`,
      {
        remedy: `issue generation ${last.generation + 1}`,
      },
    );
  }
  const token: TokenRecord = {
    generation: order.generation,
    name: order.name,
    names: [...(order.names ?? [])],
    expires: nowSeconds + order.lifetimeSeconds,
    ...(order.server === undefined ? {} : {server: order.server}),
  };
  return {token, changed: {format: 1, machine: order.machine, tokens: [...earlier, token]}};
}

/** Who asks, as proven: the key of its certificate request, and its SSH host key. */
export interface Requester {
  readonly publicKey: string;
  readonly sshHostKey: string;
}

export type Verdict =
  /** The token was used by this very requester: its answer was lost, it gets the same one again. */
  | {readonly kind: 'again'; readonly certificate: string}
  | {readonly kind: 'sign'; readonly token: TokenRecord};

/**
 * Whether an authentic request may have a certificate. Throws `unknown-machine`, `token-expired` (also for a generation
 * that a newer one has replaced) or `token-used`.
 */
export function judge(
  record: MachineRecord | undefined,
  request: Pick<EnrolmentRequest, 'generation'>,
  requester: Requester,
  nowSeconds: number,
): Verdict {
  const token = record?.tokens.find(each => each.generation === request.generation);
  if (record === undefined || token === undefined) throw unknownMachine();
  if (token !== record.tokens.at(-1)) throw expired('was replaced by a newer one');

  const {issued} = token;
  if (issued !== undefined) {
    if (issued.publicKey === requester.publicKey && issued.sshHostKey === requester.sshHostKey) {
      return {kind: 'again', certificate: issued.certificate};
    }
    throw new EnrolmentError('token-used', 'the token was used by another key', {
      remedy:
        'if the machine lost its disk, create it again; if not, somebody else has read its configuration',
    });
  }
  if (nowSeconds >= token.expires) throw expired('has expired');
  return {kind: 'sign', token};
}

/** The record after `generation` bought a certificate. */
export function withIssued(
  record: MachineRecord,
  generation: number,
  issued: NonNullable<TokenRecord['issued']>,
): MachineRecord {
  return {
    ...record,
    tokens: record.tokens.map(each => (each.generation === generation ? {...each, issued} : each)),
  };
}

/** The refusal of a machine or generation that was never booked. */
export function unknownMachine(): EnrolmentError {
  return new EnrolmentError('unknown-machine', 'no token was issued to this machine', {
    remedy: 'enrol it from the place that created it',
  });
}

function expired(how: string): EnrolmentError {
  return new EnrolmentError('token-expired', `the enrolment token ${how}`, {
    remedy: 'create the machine again',
  });
}
