import test from 'ava';
import fastify, {type FastifyInstance} from 'fastify';
import {Registry} from 'prom-client';
import type {Caller} from '../../services/common/contracts/caller.ts';
import {createMemoryStore, type MemoryStore} from '../../services/reboot-lock/adapters/memory-store.ts';
import {rebootLock} from '../../services/reboot-lock/plugin.ts';
import type {GroupPolicy, LockStore, MachineLayer} from '../../services/reboot-lock/ports.ts';
import {
  createEvents,
  createTestClock,
  later,
  policiesOf,
  uuid,
  webPolicy,
  type TestClock,
} from './support.ts';

interface Stand {
  readonly app: FastifyInstance;
  readonly store: MemoryStore;
  readonly clock: TestClock;
  readonly metrics: Registry;
  readonly ask: (
    caller: string,
    path: string,
    body?: object,
    headers?: Record<string, string>,
  ) => Promise<Answer>;
}
interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

const legacy: GroupPolicy = {group: 'old', slots: 1, machines: 5, allowQuorumLoss: false, legacy: true};
const [ada, one, two] = ['ada', uuid(1), uuid(2)];

interface Over {
  readonly policy?: Partial<GroupPolicy>;
  readonly store?: LockStore;
  readonly machines?: MachineLayer;
}

async function stand(over: Over = {}): Promise<Stand> {
  const store = createMemoryStore();
  const clock = createTestClock();
  const metrics = new Registry();
  const app = fastify();
  await app.register(rebootLock, {
    store: over.store ?? store,
    policies: policiesOf({...webPolicy, ...over.policy}, legacy),
    events: createEvents(),
    clock,
    random: () => 0.5,
    callerOf: request => callerNamed(String(request.headers['x-caller'])),
    metrics,
    ...(over.machines === undefined ? {} : {machines: over.machines}),
  });
  const ask: Stand['ask'] = async (caller, path, body, headers = {}) => {
    const answer = await app.inject({
      method: body === undefined ? 'GET' : 'POST',
      url: path,
      headers: {'x-caller': caller, ...headers},
      ...(body === undefined ? {} : {payload: body}),
    });
    return {status: answer.statusCode, body: answer.body === '' ? {} : answer.json<Answer['body']>()};
  };
  return {app, store, clock, metrics, ask};
}

function callerNamed(name: string): Caller {
  if (name === 'ada') return {kind: 'operator', name, role: 'operator'};
  if (name === 'vera') return {kind: 'operator', name, role: 'viewer'};
  if (name === 'nobody') return {kind: 'anonymous'};
  return {kind: 'machine', uuid: name, name: `web-${name.at(-1) ?? ''}`};
}

const acquire = {from: '1.0.0', to: '2.0.0', expectedSeconds: 600, clusters: []};

test('a machine takes a slot, reports, and gives it back; the next one waits meanwhile', async t => {
  const {ask} = await stand();
  const first = await ask(one, '/v1/lock/acquire', acquire);
  t.is(first.status, 200);
  t.like(first.body, {group: 'web', deadline: later(600).toISOString()});
  t.deepEqual(await ask(one, '/v1/lock/acquire', acquire), first);
  const refused = await ask(two, '/v1/lock/acquire', acquire);
  t.is(refused.status, 409);
  t.like(refused.body, {kind: 'all-slots-held', holders: [{machine: one, name: 'web-1', phase: 'draining'}]});
  const {fence} = first.body;
  t.is((await ask(one, '/v1/lock/phase', {fence, phase: 'rebooting'})).status, 204);
  const stale = await ask(two, '/v1/lock/phase', {fence, phase: 'rebooting'});
  t.like(stale, {status: 409, body: {kind: 'fenced'}});
  const released = await ask(one, '/v1/lock/release', {fence, version: '2.0.0', healthy: true});
  t.deepEqual(released, {status: 200, body: {outcome: 'updated'}});
  t.is((await ask(two, '/v1/lock/acquire', acquire)).status, 200);
});

test('a request whose caller gave up before it could be worked off changes nothing', async t => {
  const {promise: storeAnswers, resolve: letStoreAnswer} = Promise.withResolvers<void>();
  const store = createMemoryStore();
  const reading = Promise.withResolvers<void>();
  const slow: LockStore = {
    read: async () => {
      reading.resolve();
      await storeAnswers;
      return store.read();
    },
    change: change => store.change(change),
  };
  const {app} = await stand({store: slow});
  const gone = Promise.withResolvers<void>();
  app.server.on('connection', socket => socket.on('close', () => gone.resolve()));
  const server = await app.listen({host: '127.0.0.1', port: 0});
  t.teardown(() => app.close());
  const caller = new AbortController();
  const asked = fetch(`${server}/v1/lock/acquire`, {
    method: 'POST',
    headers: {'content-type': 'application/json', 'x-caller': one},
    body: JSON.stringify(acquire),
    signal: caller.signal,
  });
  await reading.promise;
  caller.abort();
  await t.throwsAsync(asked);
  await gone.promise;
  const before = (await store.read()).revision;
  letStoreAnswer();
  await new Promise(resolve => setImmediate(resolve));
  t.is((await store.read()).revision, before);
});

test('who may do what', async t => {
  const {ask} = await stand();
  const cases: readonly [string, string, object | undefined, number][] = [
    ['nobody', '/v1/lock/acquire', acquire, 401],
    [ada, '/v1/lock/acquire', acquire, 403],
    ['nobody', '/v1/locks', undefined, 401],
    [one, '/v1/locks', undefined, 403],
    ['vera', '/v1/locks', undefined, 200],
    ['vera', '/v1/locks/web/release', {machine: one, reason: 'x'}, 403],
    [one, '/v1/locks/web/release', {machine: two, reason: 'x'}, 403],
    [one, '/v1/locks/gone', {machine: two}, 403],
    [ada, '/v1/locks/web/release', {machine: one, reason: 'x'}, 404],
    [ada, '/v1/locks/gone', {machine: one}, 200],
  ];
  for (const [caller, path, body, status] of cases) {
    t.is((await ask(caller, path, body)).status, status, `${caller} ${path}`);
  }
});

test('malformed requests are refused precisely and change nothing', async t => {
  const {ask, store} = await stand();
  const before = (await store.read()).revision;
  const cases: readonly (readonly [string, object])[] = [
    ['/v1/lock/acquire', {...acquire, to: 'newest'}],
    ['/v1/lock/acquire', {...acquire, expectedSeconds: 5}],
    ['/v1/lock/acquire', {}],
    ['/v1/lock/phase', {fence: 'x', phase: 'rebooting'}],
    ['/v1/lock/phase', {fence: '1', phase: 'sleeping'}],
    ['/v1/lock/release', {version: '2.0.0', healthy: false}],
    ['/v1/lock/release', {version: '2.0.0'}],
  ];
  for (const [path, body] of cases) {
    t.like(await ask(one, path, body), {status: 400, body: {kind: 'malformed'}}, JSON.stringify(body));
  }
  t.like(await ask(ada, '/v1/locks/web/release', {machine: one, reason: ' '}), {status: 400});
  t.like(await ask(ada, '/v1/locks/not%20a%20group/release', {machine: one, reason: 'x'}), {status: 400});
  t.is((await store.read()).revision, before);
});

test('a value of a newer schema is a 412 that says so, a store that is away a 503', async t => {
  const {ask, store} = await stand();
  store.put('web', '{"schema":7}');
  t.like(await ask(one, '/v1/lock/acquire', acquire), {status: 412, body: {kind: 'newer-schema'}});
  const listed = await ask(ada, '/v1/locks');
  t.is(listed.status, 200);
  t.regex(JSON.stringify(listed.body), /has schema 7, this server knows 1/);
  const broken = await stand({
    store: {read: () => Promise.reject(new Error('boom')), change: () => Promise.reject(new Error('boom'))},
  });
  t.like(await broken.ask(one, '/v1/lock/acquire', acquire), {status: 503, body: {kind: 'fault'}});
});

test('a passed deadline halts the group, until an operator takes the slot away for a reason', async t => {
  const {ask, clock, store} = await stand({policy: {slots: 3}});
  await ask(one, '/v1/lock/acquire', acquire);
  clock.time = later(601);
  t.like(await ask(two, '/v1/lock/acquire', acquire), {status: 409, body: {kind: 'halted'}});
  const {body} = await ask(ada, '/v1/locks');
  t.like(body, {groups: [{group: 'web', slots: 3, holders: [{machine: one, overdue: true}]}]});
  t.is((await ask(ada, '/v1/locks/web/release', {machine: 'web-1', reason: 'mainboard'})).status, 200);
  t.like(store.audit, [{actor: 'ada', machine: one, reason: 'mainboard', action: 'lock-released'}]);
  t.is((await ask(two, '/v1/lock/acquire', acquire)).status, 200);
});

const header = {'fleet-lock-protocol': 'true'};
const client = (id: string, group: string) => ({client_params: {id, group}});

test('FleetLock: a legacy group takes clients at their word, and "all slots held" is a 409', async t => {
  const {ask} = await stand();
  const enter = (id: string) => ask('nobody', '/v1/pre-reboot', client(id, 'old'), header);
  const leave = (id: string) => ask('nobody', '/v1/steady-state', client(id, 'old'), header);
  t.is((await leave('c1')).status, 200, 'steady-state without a slot is fine');
  t.is((await enter('c1')).status, 200);
  t.is((await enter('c1')).status, 200);
  t.like(await enter('c2'), {status: 409, body: {kind: 'all_slots_held'}});
  t.is((await leave('c2')).status, 200);
  t.like(await enter('c2'), {status: 409, body: {kind: 'all_slots_held'}});
  t.is((await leave('c1')).status, 200);
  t.is((await enter('c2')).status, 200);
});

test('FleetLock: elsewhere the id must be the machine of the certificate', async t => {
  const {ask} = await stand();
  const enter = (caller: string, id: string, group = 'web', headers: Record<string, string> = header) =>
    ask(caller, '/v1/pre-reboot', client(id, group), headers);
  t.like(await enter('nobody', one), {status: 401, body: {kind: 'invalid_client_identity'}});
  t.like(await enter(two, one), {status: 403, body: {kind: 'invalid_client_identity'}});
  t.like(await enter(two, 'c1', 'old'), {status: 403, body: {kind: 'invalid_client_identity'}});
  t.like(await enter(one, one, 'none'), {status: 400, body: {kind: 'unknown_group'}});
  t.like(await enter(one, one, 'no group'), {status: 400, body: {kind: 'invalid_client_parameters'}});
  t.like(await enter(one, one, 'web', {}), {status: 400, body: {kind: 'missing_header'}});
  t.is((await enter(one, one.replaceAll('-', ''))).status, 200);
});

test('FleetLock: steady-state does not free the slot of an agent, which must prove health', async t => {
  const {ask} = await stand();
  await ask(one, '/v1/lock/acquire', acquire);
  const answer = await ask(one, '/v1/steady-state', client(one, 'web'), header);
  t.like(answer, {status: 409, body: {kind: 'not_proven'}});
  t.like(await ask(two, '/v1/lock/acquire', acquire), {status: 409});
});

test('metrics: holders, slots, refusals by kind, overdue holders', async t => {
  const {ask, clock, metrics} = await stand();
  await ask(one, '/v1/lock/acquire', acquire);
  await ask(two, '/v1/lock/acquire', acquire);
  clock.time = later(700);
  const text = await metrics.metrics();
  for (const line of [
    'hawser_lock_holders{group="web"} 1',
    'hawser_lock_slots{group="web"} 1',
    'hawser_lock_oldest_holder_seconds{group="web"} 700',
    'hawser_lock_overdue_holders{group="web"} 1',
    'hawser_lock_halted{group="web"} 1',
    'hawser_lock_refusals_total{group="web",kind="all-slots-held"} 1',
    'hawser_lock_store_up 1',
  ]) {
    t.true(text.includes(line), line);
  }
});

test('with a machine layer holders are watched from the start of the server to its end', async t => {
  const asked: string[] = [];
  let gone = false;
  const machines: MachineLayer = {
    state: machine => {
      asked.push(machine);
      return Promise.resolve(gone ? 'gone' : 'running');
    },
    powerCycle: () => Promise.reject(new Error('nobody asked for it')),
  };
  const {app, ask, store} = await stand({machines});
  t.is((await ask(one, '/v1/lock/acquire', acquire)).status, 200);
  while (asked.length === 0) await new Promise(resolve => setImmediate(resolve));
  t.is((await ask(two, '/v1/lock/acquire', acquire)).status, 409);
  gone = true;
  while (store.audit.length === 0) await new Promise(resolve => setImmediate(resolve));
  t.like(store.audit, [{action: 'lock-freed-machine-gone', machine: one, actor: 'watchdog'}]);
  t.is((await ask(two, '/v1/lock/acquire', acquire)).status, 200);
  await app.close();
  const until = asked.length;
  await new Promise(resolve => setTimeout(resolve, 20));
  t.is(asked.length, until);
});
