/** The agent's own socket: CNI's forwarder and figures. Root alone may open it. */
import fastify, {type FastifyInstance} from 'fastify';
import type {CniCalls} from './cni/calls.ts';
import {CniError, failureOf, readCall} from './cni/messages.ts';
import type {AgentLog} from './ports.ts';

export interface ControlDeps {
  readonly figures: () => string;
  readonly cni: CniCalls;
  readonly log: AgentLog;
}

export function controlApp({figures, cni, log}: ControlDeps): FastifyInstance {
  const app = fastify({logger: false, bodyLimit: 1024 * 1024});
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', {parseAs: 'string'}, (_request, body, done) => done(null, body));
  app.get('/metrics', (_request, reply) => reply.type('text/plain; version=0.0.4').send(figures()));
  app.post('/cni', async (request, reply) => {
    try {
      const result = await cni(
        readCall(request.headers, typeof request.body === 'string' ? request.body : ''),
      );
      return await reply.send(result === undefined ? '' : JSON.stringify(result));
    } catch (error) {
      // What a caller did wrong is the caller's to log.
      if (!(error instanceof CniError)) log.error({err: error}, 'a call of CNI failed');
      return reply.code(422).send(JSON.stringify(failureOf(error)));
    }
  });
  return app;
}
