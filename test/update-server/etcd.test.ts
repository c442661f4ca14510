/** The server over a real etcd: two of them, killed ones, compaction, values of newer versions. */
import test from 'ava';
import {createEtcdClient, createEtcdStore} from '../../services/update-server/adapters/etcd-store.ts';
import {systemClock} from '../../services/common/clock.ts';
import {bench, eventually, failure, manualClock, realEtcd, report, uuidOf, withReleases} from './support.ts';

test('two servers give the same answers, and what one is told the other knows', async t => {
  const {client} = await realEtcd(t);
  const clock = manualClock();
  const [a, b] = [
    await bench(t, createEtcdStore(client), clock),
    await bench(t, createEtcdStore(client), clock),
  ];
  await withReleases(a);
  await a.group('all', {channel: 'stable', selector: {}, waves: [{share: 30}], stopAfter: 2});
  for (let number = 0; number < 40; number += 1) await (number % 2 === 0 ? a : b).check(number);
  await eventually(() => b.service.fleet.machines.size === 40 && a.service.fleet.machines.size === 40);
  await a.promote('2.0.0');
  await eventually(() => b.service.fleet.rollouts.get('all')?.waves[0]?.openedAt !== undefined);
  await a.service.conductor.settle();
  const answers = async (each: typeof a) => {
    const all = [];
    for (let number = 0; number < 40; number += 1) all.push(await each.check(number));
    return all;
  };
  const [fromA, fromB] = [await answers(a), await answers(b)];
  t.deepEqual(fromA, fromB);
  t.is(fromA.filter(({action}) => action === 'apply').length, 12);

  await a.check(0, {failed: [failure('2.0.0')]});
  await b.check(1, {failed: [failure('2.0.0')]});
  await eventually(() => a.service.fleet.rollouts.get('all')?.state === 'stopped');
  for (const each of [a, b]) t.regex((await each.check(5)).reason, /^rollout stopped: failed on m0, m1$/);
});

test('one machine through two servers at once: nothing is lost, and no report is written over a newer one', async t => {
  const {client} = await realEtcd(t);
  const [a, b] = [await bench(t, createEtcdStore(client)), await bench(t, createEtcdStore(client))];
  await withReleases(a);
  await a.group('all', {channel: 'stable', selector: {}});
  const event = (sequence: number) => ({sequence, at: '2026-03-02T10:00:00Z', kind: 'tried'});
  for (let sequence = 1; sequence < 20; sequence += 2)
    await Promise.all([
      a.check(1, {events: [event(sequence)], version: `1.0.${sequence}`}),
      b.check(2, {events: [event(sequence)]}),
      b.check(1, {events: [event(sequence), event(sequence + 1)], version: `1.0.${sequence}`}),
    ]);
  await eventually(() => a.service.fleet.machines.get(uuidOf(1))?.record.eventsReceived === 20);
  t.is((await a.service.events(uuidOf(1))).length, 20);
});

test('a server that starts anew knows everything, without having been told', async t => {
  const {client} = await realEtcd(t);
  const first = await bench(t, createEtcdStore(client));
  await withReleases(first);
  await first.group('all', {channel: 'stable', selector: {}});
  for (let number = 0; number < 5; number += 1) await first.check(number, {labels: {rack: `r${number}`}});
  await first.promote('2.0.0');
  await first.as('operator', 'PATCH', '/v1/machines/m3', {pin: '1.0.0'});
  first.service.close();
  const second = await bench(t, createEtcdStore(client));
  const machines = (each: typeof first) =>
    [...each.service.fleet.machines].sort(([a], [b]) => (a < b ? -1 : 1));
  t.deepEqual(machines(second), machines(first));
  t.deepEqual([...second.service.fleet.rollouts], [...first.service.fleet.rollouts]);
  t.like(await second.check(1, {labels: {rack: 'r1'}}), {action: 'apply', version: '2.0.0'});
  t.like(await second.check(3, {labels: {rack: 'r3'}}), {reason: 'pinned to 1.0.0'});
});

test('etcd goes away: polls that change something fail as a fault, and go on when it is back, watch and all', async t => {
  const etcd = await realEtcd(t);
  const client = createEtcdClient({hosts: [etcd.url]});
  t.teardown(() => client.close());
  const b = await bench(t, createEtcdStore(client), {...systemClock, advance: () => undefined});
  await withReleases(b);
  await b.group('all', {channel: 'stable', selector: {}});
  await b.check(1);
  await etcd.stop();
  const refused = await b.machine(1, 'POST', '/v1/check', report({name: 'm1', phase: 'fetching'}));
  t.deepEqual([refused.status, refused.body.kind], [503, 'store-unavailable']);
  t.is(b.service.fleet.machines.get(uuidOf(1))?.record.report.phase, 'idle', 'nothing was changed');
  await etcd.start();
  const other = await bench(t, createEtcdStore(etcd.client));
  await other.promote('2.0.0');
  await eventually(() => b.service.fleet.rollouts.has('all'), 40_000);
  await eventually(
    async () => (await b.machine(1, 'POST', '/v1/check', report({name: 'm1'}))).status === 200,
    40_000,
  );
  t.like(await b.check(1), {action: 'apply', version: '2.0.0'});
});

test('a watch that is lost to a compaction is begun anew from a listing', async t => {
  const etcd = await realEtcd(t);
  const client = createEtcdClient({hosts: [etcd.url]});
  t.teardown(() => client.close());
  const b = await bench(t, createEtcdStore(client), {...systemClock, advance: () => undefined});
  await withReleases(b);
  await b.group('all', {channel: 'stable', selector: {}});
  await b.check(1);
  // Cut off, overtaken, and its place in history gone: what an outage and a compaction do together.
  await etcd.stop();
  await etcd.start();
  const other = createEtcdStore(etcd.client);
  const key = '/hawser/v1/channels/beta';
  await other.commit([{key, value: JSON.stringify({schema: 1, name: 'beta', changedAt: 'now'})}]);
  await other.commit([{key: '/hawser/v1/groups/all', delete: true}]);
  const {revision} = await other.list('/hawser/');
  await etcd.client.kv.compact({revision: String(revision), physical: true});
  await eventually(() => b.service.fleet.channels.has('beta') && !b.service.fleet.groups.has('all'), 40_000);
  t.false(b.service.fleet.groups.has('all'));
});

test('values of a newer version are refused by name, and nothing is changed', async t => {
  const {client} = await realEtcd(t);
  const b = await bench(t, createEtcdStore(client));
  await withReleases(b);
  await b.group('all', {channel: 'stable', selector: {}});
  await b.check(1);
  const newer = JSON.stringify({schema: 2, name: 'all', surprise: true});
  const store = createEtcdStore(client);
  await store.commit([{key: '/hawser/v1/groups/all', value: newer}]);
  await eventually(() => b.service.fleet.unreadable.size === 1);
  const check = await b.machine(1, 'POST', '/v1/check', report({name: 'm1', phase: 'fetching'}));
  t.deepEqual([check.status, check.body.kind], [409, 'newer-schema']);
  t.regex(String(check.body.message), /groups\/all was written with schema 2/);
  const set = await b.as('operator', 'PUT', '/v1/groups/all', {channel: 'stable'});
  t.deepEqual([set.status, set.body.kind], [409, 'newer-schema']);
  t.is((await store.get('/hawser/v1/groups/all'))?.value, newer);
  t.regex(JSON.stringify((await b.as('viewer', 'GET', '/v1/fleet')).body), /schema 2/);

  await store.commit([{key: '/hawser/v1/channels/stable', value: 'not json'}]);
  await eventually(() => b.service.fleet.unreadable.size === 2);
  const promote = await b.as('operator', 'POST', '/v1/channels/stable/promote', {version: '2.0.0'});
  t.deepEqual([promote.status, promote.body.kind], [409, 'damaged-value']);
});
