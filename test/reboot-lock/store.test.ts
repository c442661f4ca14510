/** One suite for all stores: memory, and a real etcd. */
import test, {type ExecutionContext} from 'ava';
import {createEtcdStore} from '../../services/reboot-lock/adapters/etcd-store.ts';
import {createMemoryStore} from '../../services/reboot-lock/adapters/memory-store.ts';
import type {AcquireAnswer} from '../../services/common/contracts/lock.ts';
import type {LockStore} from '../../services/reboot-lock/ports.ts';
import {createGroupQueue} from '../../services/reboot-lock/queue.ts';
import {
  releaseSlot,
  reportPhase,
  takeAway,
  takeSlot,
  type LockDeps,
} from '../../services/reboot-lock/service.ts';
import {createWaitingRoom} from '../../services/reboot-lock/waiting-room.ts';
import {groupHolding, stateOf} from '../../services/reboot-lock/snapshot.ts';
import {startEtcd, type TestEtcd} from '../support/etcd.ts';
import {
  createEvents,
  createTestClock,
  etcdCluster,
  later,
  policiesOf,
  webPolicy,
  wish,
  type TestClock,
} from './support.ts';

interface Stand {
  readonly store: LockStore;
  put(group: string, value: string): Promise<void>;
  audit(): Promise<string>;
}

let etcd: TestEtcd | undefined;
test.before(async () => {
  etcd = await startEtcd();
});
test.after.always(async () => etcd?.[Symbol.asyncDispose]());
test.beforeEach(async () => {
  await etcd?.client.delete().all();
});

const stands: Readonly<Record<string, () => Stand>> = {
  memory: () => {
    const store = createMemoryStore();
    return {
      store,
      put: (group, value) => Promise.resolve(store.put(group, value)),
      audit: () => Promise.resolve(JSON.stringify(store.audit)),
    };
  },
  etcd: () => {
    if (etcd === undefined) throw new Error('etcd does not run');
    const {client} = etcd;
    return {
      store: createEtcdStore(client),
      put: async (group, value) => void (await client.put(`/hawser/v1/locks/${group}`).value(value)),
      audit: async () => JSON.stringify(await client.getAll().prefix('/hawser/v1/audit/').strings()),
    };
  },
};

function depsOn(store: LockStore): LockDeps & {readonly clock: TestClock} {
  const clock = createTestClock();
  const queue = createGroupQueue(store, clock, Math.random);
  return {
    store,
    clock,
    queue,
    room: createWaitingRoom(),
    policies: policiesOf(webPolicy),
    events: createEvents(),
  };
}

/** Takes the slot, which must be free or held by this machine. */
async function taken(deps: LockDeps, machine: string): Promise<AcquireAnswer> {
  const result = await takeSlot(deps, webPolicy, wish(machine));
  if (result.kind === 'granted') return result.answer;
  throw new Error(result.refusal.message);
}

type Case = (
  t: ExecutionContext,
  stand: Stand,
  deps: LockDeps & {readonly clock: TestClock},
) => Promise<void>;
const cases: Readonly<Record<string, Case>> = {
  'fences grow with every grant, and the holder keeps its own': async (t, _, deps) => {
    const fences: bigint[] = [];
    for (const machine of ['a', 'b', 'c']) {
      deps.clock.time = later(20 * fences.length); // nobody waits any more
      const first = await taken(deps, machine);
      const again = await taken(deps, machine);
      const {fence} = first;
      await reportPhase(deps, 'web', machine, {fence, phase: 'rebooting'});
      const third = await taken(deps, machine);
      t.deepEqual([again, third], [first, first]);
      fences.push(BigInt(fence));
      t.is((await takeSlot(deps, webPolicy, wish('z'))).kind, 'refused');
      const proof = {fence, version: '2.0.0'};
      t.deepEqual(await releaseSlot(deps, 'web', machine, proof), {outcome: 'updated'});
      t.deepEqual(await releaseSlot(deps, 'web', machine, proof), {outcome: 'nothing-held'});
    }
    const [one = 0n, two = 0n, three = 0n] = fences;
    t.true(one < two && two < three);
  },
  'who waits is not overtaken by one who just came, unless it stopped asking': async (t, _, deps) => {
    const free = (machine: string) => releaseSlot(deps, 'web', machine, {version: '2.0.0'});
    const kindFor = async (machine: string) => (await takeSlot(deps, webPolicy, wish(machine))).kind;
    await taken(deps, 'a');
    t.is(await kindFor('b'), 'refused');
    deps.clock.time = later(1);
    await free('a');
    t.is(await kindFor('a'), 'refused', 'b waits');
    t.is(await kindFor('b'), 'granted');
    await free('b');
    deps.clock.time = later(30);
    t.is(await kindFor('c'), 'granted', 'a asked 29 s ago');
  },
  'a stale holder is told so': async (t, _, deps) => {
    const {fence} = await taken(deps, 'a');
    await releaseSlot(deps, 'web', 'a', {version: '2.0.0'});
    await takeSlot(deps, webPolicy, wish('a'));
    t.like(await t.throwsAsync(reportPhase(deps, 'web', 'a', {fence, phase: 'rebooting'})), {code: 'fenced'});
    t.like(await t.throwsAsync(releaseSlot(deps, 'web', 'a', {fence, version: '2.0.0'})), {code: 'fenced'});
  },
  'a change that rests on what is not so any more is not made': async (t, {store}) => {
    const seen = await store.read();
    const next = {group: 'web', holders: []};
    t.truthy(await store.change({seen, next, allGroups: false, audit: []}));
    t.is(await store.change({seen, next, allGroups: false, audit: []}), undefined);
    t.is((await store.read()).groups.size, 1);
  },
  'a change that rests on all groups is not made when another one changed': async (t, {store}) => {
    const seen = await store.read();
    await store.change({seen, next: {group: 'db', holders: []}, allGroups: false, audit: []});
    const next = {group: 'web', holders: []};
    t.is(await store.change({seen, next, allGroups: true, audit: []}), undefined);
    t.truthy(await store.change({seen, next, allGroups: false, audit: []}));
  },
  'four servers and forty machines: one slot has one holder': async (t, {store}) => {
    const servers = Array.from({length: 4}, () => depsOn(store));
    const machines = Array.from({length: 40}, (_, index) => `m${index}`);
    const results = await Promise.all(
      machines.flatMap(machine => servers.map(deps => takeSlot(deps, webPolicy, wish(machine)))),
    );
    t.is(stateOf(await store.read(), 'web').holders.length, 1);
    const fences = results.flatMap(result => (result.kind === 'granted' ? [result.answer.fence] : []));
    t.is(fences.length, servers.length, 'the one machine is granted by each server');
    t.is(new Set(fences).size, 1);
  },
  'two members of one cluster in two groups do not go together': async (t, {store}) => {
    const [one, two] = [depsOn(store), depsOn(store)];
    const ask = (machine: string) => wish(machine, {clusters: [etcdCluster(3, 3)]});
    const results = await Promise.all([
      takeSlot(one, webPolicy, ask('a')),
      takeSlot(two, {...webPolicy, group: 'db'}, ask('b')),
    ]);
    t.deepEqual(results.map(({kind}) => kind).sort(), ['granted', 'refused']);
  },
  'a machine that was moved to another group keeps its slot and gives that one back': async (
    t,
    {store},
    deps,
  ) => {
    const first = await takeSlot(deps, webPolicy, wish('a'));
    t.deepEqual(await takeSlot(deps, {...webPolicy, group: 'db'}, wish('a')), first);
    t.deepEqual(await releaseSlot(deps, 'db', 'a', {version: '2.0.0'}), {outcome: 'updated'});
    t.is(groupHolding(await store.read(), 'a'), undefined);
  },
  'a slot that an operator takes away is audited with it': async (t, stand, deps) => {
    await takeSlot(deps, webPolicy, wish('a'));
    const by = {actor: 'ada', action: 'lock-released', reason: 'burnt down'} as const;
    await takeAway(deps, 'web', 'name-of-a', by);
    t.is(groupHolding(await stand.store.read(), 'a'), undefined);
    t.regex(await stand.audit(), /ada.*burnt down/);
    t.like(await t.throwsAsync(takeAway(deps, 'web', 'a', by)), {code: 'not-held'});
  },
  'a failed update is told before its slot is free': async (t, {store}, deps) => {
    const {fence} = await taken(deps, 'a');
    await reportPhase(deps, 'web', 'a', {fence, phase: 'proving'});
    const broken: LockDeps = {...deps, events: {updateFailed: () => Promise.reject(new Error('away'))}};
    await t.throwsAsync(releaseSlot(broken, 'web', 'a', {version: '1.0.0'}), {message: 'away'});
    t.is(groupHolding(await store.read(), 'a'), 'web');
    const events = createEvents();
    t.deepEqual(await releaseSlot({...deps, events}, 'web', 'a', {version: '1.0.0'}), {outcome: 'failed'});
    t.like(events.failures[0], {group: 'web', machine: 'a', to: '2.0.0', runs: '1.0.0', fence});
    t.is(events.failures.length, 1);
    t.is(groupHolding(await store.read(), 'a'), undefined);
  },
};

const unreadable: Readonly<Record<string, readonly [string, string]>> = {
  'newer-schema': ['{"schema":2,"group":"web","seats":[]}', 'newer-schema'],
  'not-json': ['{"schema":1', 'damaged-value'],
  'other-group': ['{"schema":1,"group":"db","holders":[]}', 'damaged-value'],
  'holder-without-deadline': [
    '{"schema":1,"group":"web","holders":[{"slot":1,"machine":"a","name":"a","phase":"draining","since":"x","clusters":[],"via":"agent"}]}',
    'damaged-value',
  ],
};

for (const [name, stand] of Object.entries(stands)) {
  for (const [title, run] of Object.entries(cases)) {
    test.serial(`${name}: ${title}`, async t => {
      const made = stand();
      await run(t, made, depsOn(made.store));
    });
  }
  for (const [title, [value, code]] of Object.entries(unreadable)) {
    test.serial(`${name}: ${title} is refused as ${code}, and nothing is changed`, async t => {
      const made = stand();
      const deps = depsOn(made.store);
      await made.put('web', value);
      const before = await made.store.read();
      t.like(await t.throwsAsync(takeSlot(deps, webPolicy, wish('a'))), {code});
      t.like(await t.throwsAsync(releaseSlot(deps, 'web', 'a', {version: '2.0.0'})), {code});
      t.is((await made.store.read()).revision, before.revision);
      const other = await takeSlot(deps, {...webPolicy, group: 'db'}, wish('a'));
      t.is(other.kind, 'granted', 'other groups go on');
      const clusters = [etcdCluster(3, 3)];
      const cautious = takeSlot(deps, {...webPolicy, group: 'mail'}, wish('b', {clusters}));
      t.like(await t.throwsAsync(cautious), {code}, 'a quorum cannot be judged');
    });
  }
}
