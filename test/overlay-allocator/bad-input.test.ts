/** What nobody should send, and what nobody should write into etcd: refused with a reason, and nothing else is touched. */
import test from 'ava';
import * as fc from 'fast-check';
import {overlayRoot, type NetworkList, type OverlayNetwork} from '../../services/common/contracts/overlay.ts';
import {createMemoryStore} from '../../services/overlay-allocator/adapters/memory-store.ts';
import type {OverlayStore} from '../../services/overlay-allocator/ports.ts';
import {findFaults} from '../../services/overlay-allocator/render.ts';
import {allocatorBench} from './support.ts';

const spoil = (store: OverlayStore, key: string, value = '{"schema": 1') =>
  store.commit([{key: `${overlayRoot}${key}`, value}], []);

test('a lease that cannot be read is nobody else’s, and may be written anew by who says its very block', async t => {
  const store = createMemoryStore();
  const before = await allocatorBench(t, store);
  const {id} = await before.network('10.99.0.0/24');
  await before.announce(1);
  await before.announce(2);
  t.is((await before.claim(1, id)).body.block, '10.99.0.0/29');
  await spoil(store, `leases/${id}/10.99.0.0-29`);
  await spoil(store, `leases/${id}/10.99.0.8-29`, 'null');
  // A server that never saw the values before.
  const {claim, operator} = await allocatorBench(t, store, before.clock);
  t.is((await claim(2, id)).body.block, '10.99.0.16/29');
  t.is((await claim(2, id, {address: '10.99.0.9'})).body.kind, 'address-held');
  const faults = findFaults((await operator<NetworkList>('GET', 'networks')).body);
  t.is(faults.length, 2);
  t.regex(faults[0] ?? '', /leases\/10\.99\.0\.0-24\/10\.99\.0\.0-29 cannot be read/);
  t.is((await claim(1, id, {block: '10.99.0.0/29'})).status, 200);
  t.is((await claim(2, id, {address: '10.99.0.3'})).body.kind, 'address-held');
  t.is(findFaults((await operator<NetworkList>('GET', 'networks')).body).length, 1);
});

test('hosts go on with the value before one that cannot be read', async t => {
  const store = createMemoryStore();
  const {app, announce, claim, network} = await allocatorBench(t, store);
  const {id} = await network('10.99.0.0/24');
  await announce(1);
  await claim(1, id);
  await spoil(store, `leases/${id}/10.99.0.0-29`);
  await spoil(store, `networks/${id}`, '7');
  await spoil(store, 'hosts/nonsense', '[]');
  const url = await app.listen({host: '127.0.0.1', port: 0});
  const caller = JSON.stringify({kind: 'machine', uuid: '00000000-0000-4000-8000-000000000001', name: 'm1'});
  const stop = new AbortController();
  const answer = await fetch(`${url}/v1/overlay/watch`, {headers: {'x-caller': caller}, signal: stop.signal});
  const reader = answer.body?.getReader() ?? t.fail();
  const {value} = await reader.read();
  stop.abort();
  await reader.cancel().catch(() => undefined);
  const [first = ''] = Buffer.from(value ?? [])
    .toString()
    .split('\n');
  const {items} = JSON.parse(first) as {items: {kind: string; value?: unknown}[]};
  t.deepEqual(items.map(({kind}) => kind).toSorted(), ['hosts', 'leases', 'networks']);
  t.true(items.every(item => item.value !== undefined));
});

test('no network over one whose record cannot be read; the others go on', async t => {
  const store = createMemoryStore();
  await spoil(store, 'networks/10.99.0.0-24');
  const {announce, ask, claim, network} = await allocatorBench(t, store);
  const {body} = await ask(1, 'networks', {subnet: '10.99.0.128/25'});
  t.is(body.kind, 'overlap');
  t.regex(body.message ?? '', /networks\/10\.99\.0\.0-24.*etcdctl get/);
  const {id} = await network('10.98.0.0/24');
  await announce(1);
  t.is((await claim(1, id)).status, 200);
});

test('an exhausted network says so with the remedy, and no other one is poorer for it', async t => {
  const {announce, claim, network} = await allocatorBench(t, createMemoryStore());
  const [full, other] = [await network('10.99.0.0/30', {name: 'full'}), await network('10.98.0.0/24')];
  await announce(1);
  t.is((await claim(1, full.id)).status, 200);
  const {status, body} = await claim(1, full.id);
  t.is(status, 409);
  t.is(body.kind, 'exhausted');
  t.regex(body.message ?? '', /network full \(10\.99\.0\.0\/30\) has no addresses left.*hawser net inspect/);
  t.is((await claim(1, other.id)).status, 200);
});

test('after the store was lost only blocks that were held before are claimed, until all have said theirs', async t => {
  const {announce, ask, claim, clock} = await allocatorBench(t, createMemoryStore());
  await announce(1);
  await announce(2);
  const said = {subnet: '10.99.0.0/24', name: 'web', vni: 0x10_00_07};
  const {body} = await ask<OverlayNetwork>(1, 'networks', said);
  t.is(body.vni, 0x10_00_07);
  const early = await claim(1, body.id);
  t.is(early.status, 503);
  t.is(early.body.kind, 'settling');
  t.is((await claim(1, body.id, {address: '10.99.0.9'})).body.kind, 'settling');
  clock.advance(30);
  await ask(2, 'networks', said);
  t.is((await claim(2, body.id, {block: '10.99.0.0/29'})).status, 200);
  clock.advance(59);
  t.is((await claim(1, body.id)).body.kind, 'settling', 'since the last one that said it');
  clock.advance(1);
  t.is((await claim(1, body.id)).body.block, '10.99.0.8/29');
});

test('whatever a machine sends, it is answered, and never as a fault of the server', async t => {
  const {announce, ask, network} = await allocatorBench(t, createMemoryStore());
  const {id} = await network('10.99.0.0/24');
  await announce(1);
  const paths = ['host', 'networks', `networks/${id}/name`, 'leases/claim', 'leases/release', 'endpoints'];
  const word = fc.oneof(
    fc.constantFrom(
      id,
      '10.99.0.0/24',
      '10.99.0.0/29',
      '10.99.0.300',
      '0.0.0.0/0',
      '10.99.0.9',
      '',
      '-',
      'fd00::/64',
    ),
    fc.string({maxLength: 40}),
  );
  const value = fc.oneof(word, fc.array(word, {maxLength: 3}), fc.integer(), fc.constant(null), fc.boolean());
  const names = [
    'network',
    'block',
    'address',
    'subnet',
    'gateway',
    'reserved',
    'name',
    'labels',
    'endpoints',
    'vni',
    'mtu',
    'boot',
  ];
  const body = fc.dictionary(fc.constantFrom(...names), value, {maxKeys: 5});
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths), body, async (path, sent) => {
      const {status} = await ask(1, path, sent);
      return status < 500;
    }),
    {numRuns: 300},
  );
  t.is((await ask(1, 'leases/claim', {network: id})).status, 200);
});
