/**
 * Docker's network and IPAM plugin over a socket. Local scope, global connectivity: the networks of all hosts are one by
 * what is agreed in the cluster. No handler ever calls dockerd, which holds locks while it waits for the answer.
 */
import fastify, {type FastifyInstance} from 'fastify';
import {describeError} from '../../common/errors.ts';
import type {Call, PluginDeps} from './calls.ts';
import {ipamCalls} from './ipam-driver.ts';
import {failure} from './messages.ts';
import {networkCalls} from './network-driver.ts';

export function dockerPlugin(deps: PluginDeps): FastifyInstance {
  const app = fastify({logger: false, bodyLimit: 1024 * 1024});
  // Docker names no content type, and often sends nothing at all.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', {parseAs: 'string'}, (_request, body, done) => {
    try {
      done(null, body === '' ? {} : JSON.parse(String(body)));
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  });
  const calls: Readonly<Record<string, Call>> = {
    'Plugin.Activate': () => Promise.resolve({Implements: ['NetworkDriver', 'IpamDriver']}),
    ...networkCalls(deps),
    ...ipamCalls(deps),
  };
  for (const [name, call] of Object.entries(calls)) {
    app.post(`/${name}`, async (request, reply) => {
      const answer = await call(request.body ?? {}).catch((error: unknown) => {
        deps.log.warn({err: error, call: name}, 'a call of Docker failed');
        return failure(`hawser: ${describeError(error)}`);
      });
      return reply.type('application/vnd.docker.plugins.v1.2+json').send(JSON.stringify(answer));
    });
  }
  app.setErrorHandler((error, _request, reply) => {
    deps.log.warn({err: error}, 'a call of Docker could not be read');
    return reply.code(200).send(failure('hawser: the request is not JSON'));
  });
  return app;
}
