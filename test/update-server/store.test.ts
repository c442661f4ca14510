/** One suite over both stores: what holds for etcd holds for the one in memory. */
import test, {type ExecutionContext} from 'ava';
import type {Change} from '../../services/update-server/fleet.ts';
import {createEtcdStore} from '../../services/update-server/adapters/etcd-store.ts';
import {createMemoryStore} from '../../services/update-server/adapters/memory-store.ts';
import type {Store} from '../../services/update-server/ports.ts';
import {eventually, realEtcd} from './support.ts';

interface Place {
  readonly store: Store;
  /** Forgets all history, so that an old watch cannot go on. */
  readonly compact: () => Promise<void>;
}

const places: Readonly<Record<string, (t: ExecutionContext) => Promise<Place>>> = {
  memory: () => {
    const store = createMemoryStore();
    return Promise.resolve({store, compact: () => Promise.resolve(store.compact())});
  },
  etcd: async t => {
    const {client} = await realEtcd(t);
    const store = createEtcdStore(client);
    return {
      store,
      compact: async () => {
        const {revision} = await store.list('/');
        await client.kv.compact({revision: String(revision), physical: true});
      },
    };
  },
};

for (const [name, open] of Object.entries(places)) {
  test(`${name}: a commit is all or nothing, by the revisions of its keys`, async t => {
    const {store} = await open(t);
    const first = await store.commit([
      {key: '/a/1', value: 'one', expect: 0n},
      {key: '/a/2', value: 'two', expect: 0n},
    ]);
    t.is((await store.get('/a/1'))?.revision, first);
    const refused = await store.commit([
      {key: '/a/1', value: 'changed', expect: first ?? -1n},
      {key: '/a/2', value: 'changed', expect: 0n},
    ]);
    t.is(refused, undefined);
    t.is((await store.get('/a/1'))?.value, 'one');
    t.truthy(await store.commit([{key: '/a/1', delete: true, expect: first ?? -1n}]));
    t.is(await store.get('/a/1'), undefined);
    t.truthy(await store.commit([{key: '/a/1', value: 'again', expect: 0n}]));
  });

  test(`${name}: the last keys below a prefix, the last one first, and those before one of them`, async t => {
    const {store} = await open(t);
    for (const key of ['/c/1', '/c/3', '/c/2', '/b/9', '/d/0']) await store.commit([{key, value: key}]);
    const keys = async (limit: number, before?: string) =>
      (await store.last('/c/', limit, before)).map(({key}) => key);
    t.deepEqual(await keys(2), ['/c/3', '/c/2']);
    t.deepEqual(await keys(9), ['/c/3', '/c/2', '/c/1']);
    t.deepEqual(await keys(9, '/c/3'), ['/c/2', '/c/1']);
    t.deepEqual(await keys(9, '/c/1'), []);
  });

  test(`${name}: a listing holds every key below the prefix, more than a page of them`, async t => {
    const {store} = await open(t);
    for (let from = 0; from < 1200; from += 100) {
      await store.commit(
        Array.from({length: 100}, (_, index) => ({
          key: `/b/${String(from + index).padStart(5, '0')}`,
          value: String(from + index),
        })),
      );
    }
    await store.commit([{key: '/c/1', value: 'other'}]);
    const {entries} = await store.list('/b/');
    t.deepEqual(
      entries.map(({value}) => Number(value)),
      Array.from({length: 1200}, (_, index) => index),
    );
  });

  test(`${name}: a range is deleted as a whole, and its end stays`, async t => {
    const {store} = await open(t);
    for (const key of ['/e/1', '/e/2', '/e/3']) await store.commit([{key, value: key}]);
    await store.commit([{key: '/e/1', until: '/e/3', delete: true}]);
    t.deepEqual(
      (await store.list('/e/')).entries.map(({key}) => key),
      ['/e/3'],
    );
  });

  test(`${name}: a watch tells every change after its revision, in order, deletions too`, async t => {
    const {store} = await open(t);
    await store.commit([{key: '/w/old', value: 'before'}]);
    const {revision} = await store.list('/w/');
    await store.commit([{key: '/w/1', value: 'between'}]);
    const seen: Change[] = [];
    const stop = store.watch('/w/', revision, {
      changed: changes => void seen.push(...changes),
      connected: () => undefined,
      disconnected: () => undefined,
      lost: error => t.fail(error.message),
    });
    await store.commit([{key: '/w/2', value: 'after'}]);
    await store.commit([{key: '/w/1', delete: true}]);
    await store.commit([{key: '/x/1', value: 'elsewhere'}]);
    await eventually(() => seen.length >= 3);
    t.deepEqual(
      seen.map(({key, value}) => [key, value]),
      [
        ['/w/1', 'between'],
        ['/w/2', 'after'],
        ['/w/1', undefined],
      ],
    );
    stop();
  });

  test(`${name}: a watch from a compacted revision is lost, and says so`, async t => {
    const {store, compact} = await open(t);
    const {revision} = await store.list('/');
    for (const value of ['1', '2', '3']) await store.commit([{key: '/w/1', value}]);
    await compact();
    let lost = false;
    store.watch('/w/', revision, {
      changed: () => t.fail('nothing is left to tell'),
      connected: () => undefined,
      disconnected: () => undefined,
      lost: () => (lost = true),
    });
    await eventually(() => lost);
    t.true(lost);
  });
}
