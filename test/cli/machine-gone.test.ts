import test from 'ava';
import fastify from 'fastify';
import {machineCommands} from '../../machine-drivers/commands.ts';
import {createMachine} from '../../machine-drivers/create.ts';
import {loadMachine} from '../../machine-drivers/machine.ts';
import {tellServer} from '../../services/cli/machine-gone.ts';
import {machineTools} from '../../services/cli/machine-part.ts';
import {silentProgress} from '../../services/common/progress.ts';
import {FakeCloud, fakeDriver} from '../machine-drivers/support/fake-driver.ts';
import {
  captureContext,
  instantAccess,
  stubDeps,
  temporaryFolder,
} from '../machine-drivers/support/runtime.ts';

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

test('machine rm tells the server once the machine is gone, and only for what it removed', async t => {
  const home = await temporaryFolder(t);
  const cloud = new FakeCloud();
  const registry = [fakeDriver(cloud)];
  const deps = await stubDeps(home, registry);
  for (const name of ['web1', 'web2'])
    await createMachine(deps, {name, driver: 'fake', settings: {}, seconds: 5}, silentProgress);
  const {uuid} = (await loadMachine(deps.store, 'web1')).record;

  const told: unknown[] = [];
  const app = fastify();
  app.post('/v1/locks/gone', (request, reply) => {
    told.push({locks: request.body, left: cloud.things.some(({owner}) => owner === uuid)});
    return reply.send({freed: []});
  });
  app.delete('/v1/machines/:uuid', (request, reply) => {
    told.push({forgotten: request.params});
    return reply.code(404).send({kind: 'not-found', message: 'never reported'});
  });
  const server = await app.listen({host: '127.0.0.1', port: 0});
  t.teardown(() => app.close());

  const {context, warned} = captureContext({HAWSER_HOME: home, HAWSER_SERVER: server});
  const commands = machineCommands({...machineTools, registry, access: instantAccess});
  const rm = commands.find(({name}) => name === 'machine rm');
  const flags = new Map([['yes', true]]);
  t.is(await rm?.run(context, {args: ['web1'], flags}), 0);
  t.deepEqual(told, [{locks: {machine: uuid}, left: false}, {forgotten: {uuid}}]);
  t.deepEqual(warned, []);
  t.deepEqual(await deps.store.names(), ['web2']);
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
