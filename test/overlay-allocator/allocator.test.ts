/** The allocator over a real etcd, as machines and operators see it. */
import test from 'ava';
import {
  overlayRoot,
  type NetworkList,
  type OverlayLease,
  type OverlayNetwork,
} from '../../services/common/contracts/overlay.ts';
import {overlaps, parsePrefix} from '../../services/common/ipv4.ts';
import {createEtcdStore} from '../../services/overlay-allocator/adapters/etcd-store.ts';
import {createMemoryStore} from '../../services/overlay-allocator/adapters/memory-store.ts';
import {startEtcd} from '../support/etcd.ts';
import {uuidOf} from '../update-server/support.ts';
import {allocatorBench} from './support.ts';

test('networks: the same again is the same; overlaps, taken names and nonsense are refused with the reason', async t => {
  const {ask, network} = await allocatorBench(t, createMemoryStore());
  const web = await network('10.99.0.0/24', {name: 'web'});
  t.is(web.gateway, '10.99.0.1');
  t.is((await network('10.99.0.0/24')).vni, web.vni);
  const refused = async (body: object) => (await ask(2, 'networks', body)).body.kind;
  t.is(await refused({subnet: '10.99.0.128/25'}), 'overlap');
  t.is(await refused({subnet: '10.99.0.0/24', name: 'other'}), 'overlap');
  t.is(await refused({subnet: '10.99.0.0/24', gateway: '10.99.0.9'}), 'overlap');
  t.is(await refused({subnet: '10.98.0.0/24', name: 'web'}), 'name-taken');
  t.is(await refused({subnet: '10.98.0.1/24'}), 'bad-network');
  t.is(await refused({subnet: '10.98.0.0/31'}), 'bad-network');
  t.is(await refused({subnet: '10.98.0.0/24', gateway: '10.97.0.1'}), 'bad-network');
  t.is(await refused({subnet: '10.98.0.0/24', reserved: ['10.97.0.0/28']}), 'bad-network');
  t.is(await refused({subnet: 'x'}), 'malformed');
  const db = await network('10.98.0.0/24');
  t.not(db.vni, web.vni);
  t.is(
    (await ask(1, `networks/${db.id}/name`, {name: 'web', labels: {}, internal: false})).body.kind,
    'name-taken',
  );
  const named = await ask<OverlayNetwork>(1, `networks/${db.id}/name`, {
    name: 'db',
    labels: {a: 'b'},
    internal: false,
  });
  t.like(named.body, {name: 'db', labels: {a: 'b'}});
});

test('blocks: claimed, answered again, given back; strangers cannot touch them', async t => {
  const {announce, ask, claim, network} = await allocatorBench(t, createMemoryStore());
  const {id} = await network('10.99.0.0/24', {reserved: ['10.99.0.200/29']});
  t.is((await claim(1, id)).body.kind, 'not-announced');
  await announce(1);
  await announce(2);
  const first = await claim(1, id);
  t.is(first.body.block, '10.99.0.0/29');
  t.is((await claim(1, id, {block: '10.99.0.0/29'})).body.since, first.body.since, 'held before');
  t.is((await claim(2, id, {address: '10.99.0.3'})).body.kind, 'address-held');
  t.is((await claim(2, id, {address: '10.99.0.1'})).body.kind, 'address-held', 'the gateway');
  t.is((await claim(2, id, {address: '10.98.0.3'})).body.kind, 'address-held');
  t.is((await claim(2, id, {address: '10.99.0.201'})).body.block, '10.99.0.201/32');
  await ask(2, 'leases/release', {network: id, block: '10.99.0.0/29'});
  t.is((await claim(2, id, {address: '10.99.0.3'})).body.kind, 'address-held', 'not released by a stranger');
  await ask(1, 'leases/release', {network: id, block: '10.99.0.0/29'});
  await ask(1, 'leases/release', {network: id, block: '10.99.0.0/29'});
  t.is((await claim(2, id, {address: '10.99.0.3'})).status, 200);
  t.is((await claim(1, '10.1.0.0-24')).status, 404);
});

test('a silent machine keeps its blocks for a day, and longer while others are free', async t => {
  const {announce, claim, clock, network} = await allocatorBench(t, createMemoryStore());
  const {id} = await network('10.99.0.0/29');
  await announce(1);
  await announce(2);
  for (let left = 5; left > 0; left--) await claim(1, id);
  t.is((await claim(2, id)).body.kind, 'exhausted');
  clock.advance(24 * 3600 + 60);
  await announce(2);
  const taken = await claim(2, id);
  t.is(taken.status, 200);
  await announce(1);
  t.is((await claim(2, id)).body.kind, 'exhausted', 'it is heard of again');
});

test('blocks in advance only while half of the network is free', async t => {
  const {announce, claim, network} = await allocatorBench(t, createMemoryStore());
  const {id} = await network('10.99.0.0/29');
  await announce(1);
  const kinds = [];
  for (let left = 5; left > 0; left--) kinds.push((await claim(1, id, {spare: true})).body.kind);
  t.deepEqual(kinds, [undefined, undefined, undefined, 'scarce', 'scarce']);
});

test('a network with containers is not removed; without, all that belongs to it goes', async t => {
  const {announce, ask, claim, network, operator} = await allocatorBench(t, createMemoryStore());
  const {id} = await network('10.99.0.0/24', {name: 'web'});
  await announce(1);
  const {body} = await claim(1, id);
  const endpoints = (list: object[]) => ask(1, 'endpoints', {network: id, endpoints: list});
  await endpoints([
    {address: '10.99.0.2', names: ['a']},
    {address: '10.99.0.99', names: ['not mine']},
  ]);
  const listed = (await operator<NetworkList>('GET', 'networks')).body;
  t.deepEqual(listed.networks[0]?.endpoints[0]?.endpoints, [{address: '10.99.0.2', names: ['a']}]);
  t.is(listed.networks[0]?.held, 8);
  const refused = await operator('DELETE', `networks/${id}`);
  t.is(refused.status, 409);
  t.regex(refused.body.message ?? '', /m1 \(1\)/);
  t.is((await ask(2, `networks/${id}/remove`)).body.kind, 'in-use');
  await endpoints([]);
  t.is((await ask(2, `networks/${id}/remove`)).status, 200);
  t.is((await operator<NetworkList>('GET', 'networks')).body.networks.length, 0);
  t.is((await claim(1, body.network)).status, 404);
});

test('one identity on two machines, and one address for two identities, are refused', async t => {
  const {announce, clock} = await allocatorBench(t, createMemoryStore());
  await announce(1);
  t.is((await announce(1, {address: '192.0.2.50', boot: 'elsewhere'})).body.kind, 'duplicate-machine');
  t.is((await announce(2, {address: '192.0.2.1'})).body.kind, 'duplicate-machine');
  clock.advance(60);
  t.is((await announce(1)).status, 200, 'the one that was there first stays');
  clock.advance(60);
  t.is((await announce(1, {address: '192.0.2.50', boot: 'elsewhere'})).body.kind, 'duplicate-machine');
  clock.advance(60);
  t.is(
    (await announce(1, {address: '192.0.2.50', boot: 'later'})).status,
    200,
    'a reboot may change the address',
  );
});

test('only machines ask, only operators list', async t => {
  const {app, ask, operator} = await allocatorBench(t, createMemoryStore());
  t.is(
    (
      await app.inject({
        method: 'POST',
        url: '/v1/overlay/host',
        payload: {address: '1.2.3.4', mtu: 1500, boot: 'b'},
      })
    ).statusCode,
    401,
  );
  t.is((await operator('POST', 'leases/claim', {network: '10.99.0.0-24'})).status, 403);
  t.is((await app.inject({url: '/v1/overlay/watch'})).statusCode, 401);
  t.is((await ask(1, 'gone', {machine: uuidOf(1)})).status, 403);
});

test('over a real etcd, two servers at once: no address twice, garbage spoils nothing else', async t => {
  await using etcd = await startEtcd();
  await etcd.client.put(`${overlayRoot}networks/10.1.0.0-24`).value('garbage');
  await etcd.client.put(`${overlayRoot}leases/10.99.0.0-24/10.99.0.0-29`).value('{"schema":7}');
  const [one, two] = [
    await allocatorBench(t, createEtcdStore(etcd.client)),
    await allocatorBench(t, createEtcdStore(etcd.client)),
  ];
  const {id} = await one.network('10.99.0.0/24');
  const machines = Array.from({length: 12}, (_, index) => index + 1);
  await Promise.all(machines.map(number => (number % 2 === 0 ? one : two).announce(number)));
  const claims = await Promise.all(
    machines.flatMap(number => [one.claim(number, id), two.claim(number, id)]),
  );
  const blocks = claims.flatMap(({body}) => parsePrefix(body.block) ?? []);
  t.is(blocks.length, 24);
  for (const [index, block] of blocks.entries())
    for (const other of blocks.slice(index + 1)) t.false(overlaps(block, other));
  const leases = await etcd.client.getAll().prefix(`${overlayRoot}leases/${id}/`).strings();
  const readable = Object.values(leases).flatMap(text =>
    text.includes('machine') ? [JSON.parse(text) as OverlayLease] : [],
  );
  t.is(readable.length, 24);
});
