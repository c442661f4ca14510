/** Operators' tokens: made here, shown once, kept as digests. */
import {createHash, randomBytes, timingSafeEqual} from 'node:crypto';
import type {OperatorRole} from '../common/contracts/caller.ts';
import {STATE_SCHEMA} from '../common/contracts/policy.ts';
import type {Changer} from './changes.ts';
import {ServerError} from './errors.ts';
import type {Fleet} from './fleet.ts';
import type {Token} from './token-record.ts';

/** `hawser_<id>_<secret>`: the prefix lets scanners for leaked secrets know one. */
const FORM = /^hawser_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;

export interface NewToken {
  readonly name: string;
  readonly role: OperatorRole;
  readonly by: string;
  readonly oneTime?: boolean;
}

/** Makes a token; the returned text is shown once and kept nowhere. */
export async function createToken(changer: Changer, wish: NewToken): Promise<string> {
  const id = randomBytes(8).toString('hex');
  const secret = randomBytes(32).toString('base64url');
  const {name, role, by, oneTime} = wish;
  await changer.edit<Token>({
    kind: 'tokens',
    name: id,
    act: {by, action: 'token-created', detail: `${role} ${name}`},
    change: now => ({
      schema: STATE_SCHEMA,
      id,
      name,
      role,
      digest: digestOf(secret),
      createdAt: now,
      createdBy: by,
      ...(oneTime === true ? {oneTime} : {}),
    }),
  });
  return `hawser_${id}_${secret}`;
}

/** The record of a token that was presented; undefined when it is not one of ours. */
export function findToken(fleet: Fleet, text: string): Token | undefined {
  const [, id = '', secret = ''] = FORM.exec(text) ?? [];
  const token = fleet.tokens.get(id);
  if (token === undefined) return undefined;
  const [given, kept] = [Buffer.from(digestOf(secret)), Buffer.from(token.digest)];
  return given.length === kept.length && timingSafeEqual(given, kept) ? token : undefined;
}

/** Trades a one-time token for one that stays. Of several that try with the same one, one succeeds. */
export async function redeemToken(fleet: Fleet, changer: Changer, text: string): Promise<string> {
  const token = findToken(fleet, text);
  if (token?.oneTime !== true) throw notRedeemable();
  await changer.edit<Token>({
    kind: 'tokens',
    name: token.id,
    act: {by: token.name, action: 'token-redeemed'},
    change: () => {
      if (!fleet.tokens.has(token.id)) throw notRedeemable();
      return undefined;
    },
  });
  return createToken(changer, {name: token.name, role: token.role, by: token.name});
}

export async function removeToken(fleet: Fleet, changer: Changer, id: string, by: string): Promise<void> {
  await changer.edit<Token>({
    kind: 'tokens',
    name: id,
    act: {by, action: 'token-removed'},
    change: () => {
      if (fleet.tokens.has(id)) return undefined;
      throw new ServerError('unknown-token', `there is no token ${id}`);
    },
  });
}

function notRedeemable(): ServerError {
  return new ServerError('unauthenticated', 'this token cannot be used to log in, or was used already', {
    remedy: 'ask an administrator for hawser server token create',
  });
}

function digestOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
