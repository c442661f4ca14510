/** Input that cannot be meant: refused with the kind that says why, logged, counted, and nothing is changed by it. */
import test from 'ava';
import {Registry} from 'prom-client';
import type {Caller} from '../../services/common/contracts/caller.ts';
import {createMemoryStore} from '../../services/update-server/adapters/memory-store.ts';
import type {Store} from '../../services/update-server/ports.ts';
import {bench, hash, manualClock, report, uuidOf, withReleases} from './support.ts';

const one: Caller = {kind: 'machine', uuid: uuidOf(1), name: 'm1'};
const viewer: Caller = {kind: 'operator', name: 'eve', role: 'viewer'};
const operator: Caller = {kind: 'operator', name: 'olga', role: 'operator'};
const stranger: Caller = {kind: 'anonymous'};
const mine = report({name: 'm1'});
const facts = {version: '2.0.0', rootHash: hash('2.0.0'), created: '2026-03-01T00:00:00Z', barrier: false};
const many = (count: number) =>
  Object.fromEntries(Array.from({length: count}, (_, index) => [`label-${index}`, 'x']));

/** Who, what, and the refusal. A body that is text is sent as it is. */
const table: readonly (readonly [string, Caller, string, unknown, number, string])[] = [
  ['an empty report', one, 'POST /v1/check', {}, 400, 'malformed'],
  ['broken JSON', one, 'POST /v1/check', '{"name": ', 400, 'malformed'],
  ['JSON that reaches for the prototype', one, 'POST /v1/check', '{"__proto__": {}}', 400, 'malformed'],
  ['a version that is not semver', one, 'POST /v1/check', {...mine, version: '1.0'}, 400, 'malformed'],
  ['a number for a name', one, 'POST /v1/check', {...mine, name: 7}, 400, 'malformed'],
  ['an unknown phase', one, 'POST /v1/check', {...mine, phase: 'napping'}, 400, 'malformed'],
  ['a label that is none', one, 'POST /v1/check', {...mine, labels: {'../x': 'y'}}, 400, 'malformed'],
  [
    'a label over another that is none',
    operator,
    'PATCH /v1/machines/m1',
    {labels: {'a b': 'c'}},
    400,
    'malformed',
  ],
  ['too many labels', one, 'POST /v1/check', {...mine, labels: many(65)}, 400, 'malformed'],
  ['a hash that is none', one, 'POST /v1/check', {...mine, rootHash: 'zz'}, 400, 'malformed'],
  ["another machine's name", one, 'POST /v1/check', {...mine, name: 'm2'}, 403, 'other-identity'],
  ["another machine's UUID", one, 'POST /v1/check', {...mine, uuid: uuidOf(2)}, 403, 'other-identity'],
  ['an oversized report', one, 'POST /v1/check', {...mine, noise: 'x'.repeat(300_000)}, 413, 'too-large'],
  ["a look at another machine's state", one, 'GET /v1/machines/m2', undefined, 403, 'other-identity'],
  ["a look at another machine's events", one, 'GET /v1/machines/m2/events', undefined, 403, 'other-identity'],
  ['a machine that asks for the fleet', one, 'GET /v1/fleet', undefined, 403, 'forbidden'],
  ['a machine that promotes', one, 'POST /v1/channels/stable/promote', {version: '2.0.0'}, 403, 'forbidden'],
  ['a stranger who reports', stranger, 'POST /v1/check', mine, 401, 'unauthenticated'],
  ['a stranger who looks', stranger, 'GET /v1/fleet', undefined, 401, 'unauthenticated'],
  ['an operator who reports', viewer, 'POST /v1/check', mine, 403, 'forbidden'],
  ['a viewer who changes', viewer, 'PUT /v1/channels/x', {}, 403, 'forbidden'],
  ['an operator among the tokens', operator, 'GET /v1/tokens', undefined, 403, 'forbidden'],
  ['a group of an unknown channel', operator, 'PUT /v1/groups/g', {channel: 'nope'}, 404, 'unknown-channel'],
  ['an unknown group', operator, 'GET /v1/groups/nope', undefined, 404, 'unknown-group'],
  ['a rollout of an unknown group', operator, 'POST /v1/rollouts/nope/pause', {}, 404, 'unknown-group'],
  ['a rollout that is none', operator, 'POST /v1/rollouts/all/pause', {}, 404, 'unknown-rollout'],
  ['the fleet of an unknown group', viewer, 'GET /v1/fleet?group=nope', undefined, 404, 'unknown-group'],
  ['an unknown channel', operator, 'DELETE /v1/channels/nope', undefined, 404, 'unknown-channel'],
  ['an unknown machine', operator, 'PATCH /v1/machines/m9', {}, 404, 'unknown-machine'],
  ['a machine for an unknown group', operator, 'PATCH /v1/machines/m1', {group: 'no'}, 404, 'unknown-group'],
  ['a pin to nothing', operator, 'PATCH /v1/machines/m1', {pin: '7.0.0'}, 404, 'unknown-release'],
  ['a pin that is not semver', operator, 'PATCH /v1/machines/m1', {pin: 'next'}, 400, 'malformed'],
  [
    'an unknown release',
    operator,
    'POST /v1/channels/stable/promote',
    {version: '9.9.9'},
    404,
    'unknown-release',
  ],
  [
    'a promotion of no version',
    operator,
    'POST /v1/channels/stable/promote',
    {version: 'latest'},
    400,
    'malformed',
  ],
  ['a release under no version', operator, 'PUT /v1/releases/1.0', facts, 400, 'malformed'],
  ['a release under another version', operator, 'PUT /v1/releases/1.0.0', facts, 400, 'malformed'],
  [
    'another image under a known version',
    operator,
    'PUT /v1/releases/2.0.0',
    {...facts, rootHash: hash('x')},
    409,
    'different-release',
  ],
  ['a setting with a slip', operator, 'PUT /v1/groups/g', {channel: 'stable', wavs: []}, 400, 'malformed'],
  [
    'a wave that says two things',
    operator,
    'PUT /v1/groups/g',
    {channel: 'stable', waves: [{share: 5, machines: 1}]},
    400,
    'malformed',
  ],
  [
    'a window that never opens',
    operator,
    'PUT /v1/groups/g',
    {channel: 'stable', windows: [{start: '0 0 30 2 *', minutes: 60, zone: 'UTC'}]},
    400,
    'malformed',
  ],
  [
    'a group with a name that is none',
    operator,
    'PUT /v1/groups/..%2Fx',
    {channel: 'stable'},
    400,
    'malformed',
  ],
  [
    'an oversized group',
    operator,
    'PUT /v1/groups/g',
    {channel: 'stable', description: 'x'.repeat(1_100_000)},
    413,
    'too-large',
  ],
  ['a token that is none', stranger, 'POST /v1/login', {token: 'hawser_x'}, 401, 'unauthenticated'],
  ['a page of the audit that is none', viewer, 'GET /v1/audit?limit=all', undefined, 400, 'malformed'],
];

const contents = async (store: Store) => JSON.stringify((await store.list('/hawser/')).entries, replaceBig);
const replaceBig = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);

test('each is refused for what it is, logged with that, counted, and changes nothing', async t => {
  const store = createMemoryStore();
  const log: string[] = [];
  const metrics = new Registry();
  const b = await bench(t, store, manualClock(), {log: line => void log.push(line), metrics});
  await withReleases(b);
  await b.group('all', {channel: 'stable', selector: {}});
  await b.check(1);
  await b.check(2);
  const before = await contents(store);
  const kinds = new Map<string, number>();
  for (const [what, caller, line, body, status, kind] of table) {
    const [method = '', url = ''] = line.split(' ');
    log.length = 0;
    const answer = await b.app.inject({
      method: method as 'GET',
      url,
      headers: {
        'x-caller': JSON.stringify(caller),
        ...(body === undefined ? {} : {'content-type': 'application/json'}),
      },
      ...(body === undefined ? {} : {payload: typeof body === 'string' ? body : JSON.stringify(body)}),
    });
    t.deepEqual([answer.statusCode, answer.json<{kind: string}>().kind], [status, kind], what);
    t.true(answer.json<{message: string}>().message.length > 8, what);
    const logged = log.map(text => JSON.parse(text) as {kind?: string; url?: string; why?: string});
    t.true(
      logged.some(entry => entry.kind === kind && entry.url === url && (entry.why ?? '').length > 8),
      `${what}: ${log.join('')}`,
    );
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  t.is(await contents(store), before);
  const figures = await metrics.metrics();
  for (const [kind, count] of kinds)
    t.true(figures.includes(`hawser_refused_requests_total{kind="${kind}"} ${count}\n`), kind);
});

test('a body of another type is refused as such', async t => {
  const b = await bench(t, createMemoryStore());
  const answer = await b.app.inject({
    method: 'POST',
    url: '/v1/check',
    headers: {'x-caller': JSON.stringify(one), 'content-type': 'text/xml'},
    payload: '<request/>',
  });
  t.deepEqual([answer.statusCode, answer.json<{kind: string}>().kind], [415, 'unsupported-media-type']);
});

/** Every kind of value that a machine's answer can depend on. */
const newer: Readonly<Record<string, string>> = {
  [`machines/${uuidOf(1)}`]: 'the machine itself',
  [`assignments/${uuidOf(1)}`]: 'what operators decided about it',
  'groups/all': 'its group',
  'groups/other': 'a group that may select it too',
  'channels/stable': 'the channel that its group follows',
  'rollouts/all': 'the rollout of its group',
  'releases/2.0.0': 'the release that it is sent to',
  'releases/1.5.0': 'a release on the way, which may be a barrier',
};

for (const [name, what] of Object.entries(newer)) {
  test(`written by a newer version: ${what}: no answer, the key named, and it stays as it is`, async t => {
    const store = createMemoryStore();
    const b = await bench(t, store);
    await withReleases(b);
    await b.group('all', {channel: 'stable', selector: {}});
    await b.check(1);
    await b.promote('2.0.0');
    t.like(await b.check(1), {action: 'apply', version: '2.0.0'});
    const key = `/hawser/v1/${name}`;
    const value = JSON.stringify({schema: 2, surprise: true});
    await store.commit([{key, value}]);
    const before = await contents(store);
    const answer = await b.machine(1, 'POST', '/v1/check', report({name: 'm1'}));
    t.deepEqual([answer.status, answer.body.kind], [409, 'newer-schema']);
    t.true(String(answer.body.message).includes(key));
    t.regex(JSON.stringify((await b.as('viewer', 'GET', '/v1/fleet')).body), /written with schema 2/);
    t.is(await contents(store), before);
  });
}

test('a release of a newer version that lies on nobody\u2019s way keeps nobody waiting', async t => {
  const store = createMemoryStore();
  const b = await bench(t, store);
  await withReleases(b);
  await b.group('all', {channel: 'stable', selector: {}});
  await b.check(1);
  await b.promote('2.0.0');
  await store.commit([
    {key: '/hawser/v1/releases/3.0.0', value: '{"schema": 2}'},
    {key: '/hawser/v1/releases/0.9.0', value: '{"schema": 2}'},
  ]);
  t.like(await b.check(1), {action: 'apply', version: '2.0.0'});
});

test('a machine that waits for the lock is written when it begins to wait, not at every question', async t => {
  const store = createMemoryStore();
  const b = await bench(t, store);
  await withReleases(b);
  await b.group('all', {channel: 'stable', selector: {}});
  const ask = (waitsFor: string, phase: 'locking' | 'draining' = 'locking') =>
    b.check(1, {phase, staged: '2.0.0', waitsFor});
  const written = async () => (await store.get(`/hawser/v1/machines/${uuidOf(1)}`))?.revision;
  await ask('the reboot lock (all-slots-held): 1 of 1 held: m2 (draining)');
  const first = await written();
  await ask('the reboot lock (all-slots-held): 1 of 1 held: m3 (rebooting)');
  t.is(await written(), first);
  await ask('the reboot lock (halted): m3 should have been back');
  t.not(await written(), first);
  await ask('2 connections', 'draining');
  const draining = await written();
  await ask('1 connection', 'draining');
  t.not(await written(), draining);
});
