/** The audit over HTTP: what operators and the reboot lock wrote into one etcd. */
import test from 'ava';
import type {AuditList} from '../../services/common/contracts/audit.ts';
import {createEtcdStore as createLockStore} from '../../services/reboot-lock/adapters/etcd-store.ts';
import {createGroupQueue} from '../../services/reboot-lock/queue.ts';
import {takeAway, takeSlot} from '../../services/reboot-lock/service.ts';
import {createWaitingRoom} from '../../services/reboot-lock/waiting-room.ts';
import {createEvents, policiesOf, webPolicy, wish} from '../reboot-lock/support.ts';
import {createEtcdStore} from '../../services/update-server/adapters/etcd-store.ts';
import {createMemoryStore} from '../../services/update-server/adapters/memory-store.ts';
import {renderAudit} from '../../services/update-server/commands/fleet-tables.ts';
import {bench, realEtcd, uuidOf, type Bench} from './support.ts';

async function audit(each: Bench, query = ''): Promise<AuditList> {
  const {status, body} = await each.as('viewer', 'GET', `/v1/audit${query}`);
  if (status !== 200) throw new Error(`${status} ${body.message}`);
  return body as unknown as AuditList;
}

test('what operators and the lock did is served newest first, in one form', async t => {
  const {client} = await realEtcd(t);
  const b = await bench(t, createEtcdStore(client));
  await b.as('operator', 'PUT', '/v1/channels/beta', {});
  b.clock.advance(60);
  const store = createLockStore(client);
  const lock = {
    store,
    queue: createGroupQueue(store, b.clock, () => 0),
    room: createWaitingRoom(),
    policies: policiesOf(webPolicy),
    events: createEvents(),
    clock: b.clock,
  };
  await takeSlot(lock, webPolicy, wish(uuidOf(1)));
  await takeAway(lock, 'web', uuidOf(1), {actor: 'ada', action: 'lock-released', reason: 'burnt down'});
  const {entries, problems, before} = await audit(b);
  const [newest, ...older] = entries;
  t.like(newest, {
    by: 'ada',
    action: 'lock-released',
    subject: 'locks/web',
    machine: uuidOf(1),
    detail: 'burnt down',
    at: '2026-03-02T10:01:00.000Z',
  });
  t.true(older.some(({by, subject}) => by === 'operator' && subject === 'channels/beta'));
  t.deepEqual([problems, before], [[], undefined]);
  t.regex(renderAudit({entries, problems}).join('\n'), /ada +lock-released +locks\/web +\S+ +burnt down\n/);
});

test('paged by the id of the last entry, each entry once', async t => {
  const b = await bench(t, createMemoryStore());
  for (let number = 0; number < 7; number += 1) {
    await b.as('operator', 'PUT', `/v1/channels/c${number}`, {});
    b.clock.advance(1);
  }
  const all = (await audit(b)).entries.map(({id}) => id);
  t.true(all.length >= 7);
  const paged: string[] = [];
  let page = await audit(b, '?limit=3');
  t.regex(renderAudit(page).at(-1) ?? '', new RegExp(`--before ${page.before ?? 'nothing'}$`));
  for (let pages = 0; pages < 20; pages += 1) {
    t.true(page.entries.length <= 3);
    paged.push(...page.entries.map(({id}) => id));
    if (page.before === undefined) break;
    page = await audit(b, `?limit=3&before=${encodeURIComponent(page.before)}`);
  }
  t.deepEqual(paged, all);
});

test('an entry of a newer version, and a damaged one, are told and hide no other', async t => {
  const store = createMemoryStore();
  const b = await bench(t, store);
  await b.as('operator', 'PUT', '/v1/channels/beta', {});
  const put = (id: string, value: string) => store.commit([{key: `/hawser/v1/audit/${id}`, value}]);
  await put('2027-01-01T00:00:00.000Z-aaaa', JSON.stringify({schema: 2, deed: 'unheard of'}));
  await put('2027-01-01T00:00:01.000Z-bbbb', 'not JSON');
  const {entries, problems} = await audit(b);
  t.true(entries.some(({subject}) => subject === 'channels/beta'));
  t.regex(problems.join('\n'), /-bbbb cannot be read: it is not JSON\n.*-aaaa was written with schema 2/);
});

test('viewers see it, machines and strangers do not; a bad query is refused', async t => {
  const b = await bench(t, createMemoryStore());
  t.is((await b.machine(1, 'GET', '/v1/audit')).status, 403);
  t.is((await b.app.inject({method: 'GET', url: '/v1/audit'})).statusCode, 401);
  for (const query of ['limit=0', 'limit=1001', 'limit=x', 'before=../tokens/', 'more=1']) {
    const {status, body} = await b.as('viewer', 'GET', `/v1/audit?${query}`);
    t.deepEqual([status, body.kind], [400, 'malformed'], query);
  }
  t.is((await b.as('viewer', 'GET', '/v1/audit?limit=1000')).status, 200);
});
