import test from 'ava';
import {createMemoryStore} from '../../services/reboot-lock/adapters/memory-store.ts';
import type {GroupPolicy, MachineLayerState} from '../../services/reboot-lock/ports.ts';
import {createGroupQueue} from '../../services/reboot-lock/queue.ts';
import {reportPhase, takeSlot} from '../../services/reboot-lock/service.ts';
import {stateOf} from '../../services/reboot-lock/snapshot.ts';
import {createWaitingRoom} from '../../services/reboot-lock/waiting-room.ts';
import {watchOnce, type WatchDeps} from '../../services/reboot-lock/watch.ts';
import {
  createEvents,
  createTestClock,
  later,
  policiesOf,
  webPolicy,
  wish,
  type TestClock,
} from './support.ts';

const silent = {info: () => undefined, warn: () => undefined, error: () => undefined};

interface Stand {
  readonly deps: WatchDeps & {readonly clock: TestClock};
  readonly cycled: string[];
  readonly holders: () => Promise<string[]>;
}

/** Machine `a` holds a slot in phase `rebooting`. */
async function stand(state: MachineLayerState, policy: Partial<GroupPolicy> = {}): Promise<Stand> {
  const store = createMemoryStore();
  const clock = createTestClock();
  const cycled: string[] = [];
  const deps = {
    store,
    clock,
    queue: createGroupQueue(store, clock, () => 0),
    room: createWaitingRoom(),
    policies: policiesOf({...webPolicy, ...policy}),
    events: createEvents(),
    log: silent,
    machines: {
      state: () => Promise.resolve(state),
      powerCycle: (machine: string) => {
        cycled.push(machine);
        return Promise.resolve();
      },
    },
  };
  const taken = await takeSlot(deps, {...webPolicy, ...policy}, wish('a'));
  if (taken.kind !== 'granted') throw new Error('not granted');
  await reportPhase(deps, 'web', 'a', {fence: taken.answer.fence, phase: 'rebooting'});
  const holders = async () => stateOf(await store.read(), 'web').holders.map(({machine}) => machine);
  return {deps, cycled, holders};
}

test('the slot of a machine that is gone is freed at once, and audited', async t => {
  const {deps, holders} = await stand('gone');
  t.like(await watchOnce(deps), [{kind: 'free'}]);
  t.deepEqual(await holders(), []);
});

test('a machine that runs and is in time is left alone', async t => {
  const {deps, holders} = await stand('running', {powerCycle: true});
  t.deepEqual(await watchOnce(deps), []);
  t.deepEqual(await holders(), ['a']);
});

test('an overdue machine is power-cycled once, keeps its slot, and is then only alerted about', async t => {
  const {deps, cycled, holders} = await stand('running', {powerCycle: true});
  deps.clock.time = later(601);
  t.like(await watchOnce(deps), [{kind: 'power-cycle'}]);
  t.like(await watchOnce(deps), [{kind: 'alert'}]);
  t.deepEqual(cycled, ['a']);
  t.deepEqual(await holders(), ['a']);
});

test('two servers together cycle its power once', async t => {
  const {deps, cycled} = await stand('running', {powerCycle: true});
  deps.clock.time = later(601);
  const other = {...deps, queue: createGroupQueue(deps.store, deps.clock, () => 0)};
  await Promise.all([watchOnce(deps), watchOnce(other)]);
  t.deepEqual(cycled, ['a']);
});

for (const [title, state, policy] of [
  ['the group does not allow it', 'running', {}],
  ['the machine layer does not know it', 'unknown', {powerCycle: true}],
] as const) {
  test(`no power cycle when ${title}`, async t => {
    const {deps, cycled, holders} = await stand(state, policy);
    deps.clock.time = later(601);
    t.like(await watchOnce(deps), [{kind: 'alert'}]);
    t.deepEqual(cycled, []);
    t.deepEqual(await holders(), ['a']);
  });
}
