/** Pieces of route schemas that several routes use. */
import {Type} from 'typebox';
import {ErrorAnswer} from '../../common/contracts/fleet.ts';

export const refusals = {'4xx': ErrorAnswer, '5xx': ErrorAnswer} as const;
export const Done = Type.Object({});
/** What an operator says for the audit. */
export const Reason = Type.Object(
  {reason: Type.Optional(Type.String({minLength: 1, maxLength: 512}))},
  {additionalProperties: false},
);
