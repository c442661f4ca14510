import test from 'ava';
import fastify from 'fastify';
import {tellServer} from '../../services/cli/machine-gone.ts';

const machine = {uuid: '00000000-0000-4000-8000-000000000001', name: 'web-1'};

function contextOf(env: Record<string, string>) {
  const warned: string[] = [];
  const context = {
    env: {HAWSER_HOME: '/nonexistent', ...env},
    signal: new AbortController().signal,
    warn: (line: string) => void warned.push(line),
  };
  return {context, warned};
}

test('the server is told which machine is gone', async t => {
  const told: unknown[] = [];
  const app = fastify();
  app.post('/v1/locks/gone', (request, reply) => {
    told.push(request.body);
    return reply.send({freed: ['web']});
  });
  const server = await app.listen({host: '127.0.0.1', port: 0});
  t.teardown(() => app.close());
  const {context, warned} = contextOf({HAWSER_SERVER: server});
  await tellServer(context, machine);
  t.deepEqual(told, [{machine: machine.uuid}]);
  t.deepEqual(warned, []);
});

test('a server that is away is said, and is no failure', async t => {
  const {context, warned} = contextOf({HAWSER_SERVER: 'http://127.0.0.1:1'});
  await tellServer(context, machine);
  t.regex(warned.join('\n'), /"web-1" is removed, but the update server was not told.*does not answer/);
});

test('without a server nothing is said', async t => {
  const {context, warned} = contextOf({});
  await tellServer(context, machine);
  t.deepEqual(warned, []);
});
