/** Operators' tokens, and the login that trades a one-time token for one that stays. */
import {Type} from 'typebox';
import {OperatorRoleSchema} from '../token-record.ts';
import type {Routes} from '../plugin.ts';
import {createToken, redeemToken, removeToken} from '../tokens.ts';
import {Done, refusals} from './shared.ts';

const tags = ['tokens'];
const Name = Type.String({pattern: '^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$'});
const Secret = Type.Object({token: Type.String()});
const Listed = Type.Object({
  id: Type.String(),
  name: Type.String(),
  role: OperatorRoleSchema,
  createdAt: Type.String(),
  createdBy: Type.String(),
  oneTime: Type.Optional(Type.Boolean()),
});

export const tokenRoutes: Routes = (app, {service, operator}) => {
  const {fleet, changer} = service;
  app.post(
    '/v1/login',
    {
      schema: {
        summary: 'Trade a one-time token for a lasting one',
        tags,
        body: Type.Object({token: Type.String({maxLength: 128})}, {additionalProperties: false}),
        response: {200: Secret, ...refusals},
      },
    },
    async request => ({token: await redeemToken(fleet, changer, request.body.token)}),
  );
  app.get(
    '/v1/tokens',
    {
      schema: {
        summary: 'All tokens, without their secrets',
        tags,
        response: {200: Type.Object({tokens: Type.Array(Listed)}), ...refusals},
      },
    },
    request => {
      operator(request, 'admin');
      return {tokens: [...fleet.tokens.values()]};
    },
  );
  app.post(
    '/v1/tokens',
    {
      schema: {
        summary: 'Make a token; it is shown this once',
        tags,
        body: Type.Object(
          {name: Name, role: OperatorRoleSchema, oneTime: Type.Optional(Type.Boolean())},
          {additionalProperties: false},
        ),
        response: {200: Secret, ...refusals},
      },
    },
    async request => {
      const by = operator(request, 'admin').name;
      return {token: await createToken(changer, {...request.body, by})};
    },
  );
  app.delete(
    '/v1/tokens/:id',
    {
      schema: {
        summary: 'Make a token worthless',
        tags,
        params: Type.Object({id: Type.String({pattern: '^[0-9a-f]{16}$'})}),
        response: {200: Done, ...refusals},
      },
    },
    async request => {
      await removeToken(fleet, changer, request.params.id, operator(request, 'admin').name);
      return {};
    },
  );
};
