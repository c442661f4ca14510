/** `POST /v1/check`: what a machine reports, and what it shall do. */
import {Type} from 'typebox';
import {CheckAnswer, CheckRequest} from '../../common/contracts/fleet.ts';
import {ServerError} from '../errors.ts';
import type {Routes} from '../plugin.ts';
import {refusals} from './shared.ts';

/** A report with 64 events of 2 KiB and 16 failures. */
const BODY_LIMIT = 256 * 1024;

export const checkRoute: Routes = (app, {service, machine, count}) => {
  app.post(
    '/v1/check',
    {
      bodyLimit: BODY_LIMIT,
      schema: {
        summary: 'A machine reports itself and is told what to do',
        tags: ['machine'],
        // Names that the certificate alone may say; checked when an agent sends them all the same.
        body: Type.Intersect([
          CheckRequest,
          Type.Object({uuid: Type.Optional(Type.String()), machine: Type.Optional(Type.String())}),
        ]),
        response: {200: CheckAnswer, ...refusals},
      },
    },
    async (request, reply) => {
      const caller = machine(request);
      const {uuid, machine: claimed} = request.body;
      for (const name of [uuid, claimed])
        if (name !== undefined && name !== caller.uuid && name !== caller.name) {
          throw new ServerError('other-identity', `the certificate is ${caller.uuid}'s, not ${name}'s`, {
            remedy: 'a machine can act for itself only',
          });
        }
      const answer = await service.check(caller, request.body);
      count.answered(answer.action, reply.elapsedTime / 1000);
      return answer;
    },
  );
};
