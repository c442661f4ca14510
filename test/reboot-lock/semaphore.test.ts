import test from 'ava';
import * as fc from 'fast-check';
import type {LockRefusal} from '../../services/common/contracts/lock.ts';
import {emptyLock, type LockState} from '../../services/reboot-lock/record.ts';
import {
  acquire,
  find,
  haltReason,
  markPowerCycled,
  release,
  setPhase,
  withoutHolder,
  type Rules,
  type Wish,
} from '../../services/reboot-lock/semaphore.ts';
import {slotCount, type Slots} from '../../services/reboot-lock/slots.ts';
import {etcdCluster, heldBy, later, noon, oneSlot, wish} from './support.ts';

test('a free slot is granted, with a deadline', t => {
  const result = acquire(emptyLock('web'), wish('a'), oneSlot, [], noon);
  if (result.kind !== 'granted') throw new Error(result.kind);
  t.like(result.holder, {slot: 1, machine: 'a', phase: 'draining', deadline: later(600).toISOString()});
  t.is(result.holder.fence, undefined);
});

test('a holder of the last slot gets it again, with fence and deadline as they were', t => {
  const state = heldBy('a');
  const result = acquire(state, wish('a'), oneSlot, [], later(300));
  if (result.kind !== 'held-already') throw new Error(result.kind);
  t.is(result.next, state);
  t.like(result.holder, {fence: '100', deadline: later(600).toISOString()});
});

test('a holder gets its slot again after its deadline and while the rollout stands still', t => {
  const rules = {...oneSlot, halted: 'rollout stopped'};
  t.is(acquire(heldBy('a'), wish('a'), rules, [], later(9999)).kind, 'held-already');
});

interface Refused {
  readonly kind: LockRefusal['kind'];
  readonly state?: LockState;
  readonly rules?: Partial<Rules>;
  readonly ask?: Partial<Wish>;
  readonly now?: Date;
}
const inRack = (rack: string) => heldBy(wish('a', {domain: rack}));
const refusals: Readonly<Record<string, Refused>> = {
  'all slots held': {kind: 'all-slots-held', state: heldBy('a')},
  'a passed deadline lets nobody go': {
    kind: 'halted',
    state: heldBy('a'),
    rules: {slots: 5},
    now: later(601),
  },
  'the rollout stopped': {kind: 'halted', rules: {halted: 'stopped after 1 failure'}},
  'another failure domain is away': {
    kind: 'domain-held',
    state: inRack('r1'),
    rules: {slots: 5},
    ask: {domain: 'r2'},
  },
  'one without a failure domain is away': {
    kind: 'domain-held',
    state: heldBy('a'),
    rules: {slots: 5},
    ask: {domain: 'r2'},
  },
  'the same failure domain is away': {
    kind: 'domain-held',
    state: inRack('r1'),
    rules: {slots: 5, domainRule: 'one-per-domain'},
    ask: {domain: 'r1'},
  },
  'a majority would be lost': {kind: 'quorum', ask: {clusters: [etcdCluster(3, 2)]}},
};
for (const [title, refused] of Object.entries(refusals)) {
  test(`refused: ${title}`, t => {
    const {kind, state = emptyLock('web'), rules, ask, now = noon} = refused;
    const result = acquire(state, wish('b', ask), {...oneSlot, ...rules}, [], now);
    t.is(result.kind === 'refused' ? result.refusal.kind : result.kind, kind);
  });
}

test('machines of one failure domain go together', t => {
  const result = acquire(inRack('r1'), wish('b', {domain: 'r1'}), {...oneSlot, slots: 2}, [], noon);
  t.is(result.kind, 'granted');
});

test('a holder of the same cluster in another group counts as away', t => {
  const elsewhere = heldBy(wish('a', {clusters: [etcdCluster(3, 3)]})).holders;
  const ask = wish('b', {clusters: [etcdCluster(3, 3)]});
  t.is(acquire(emptyLock('db'), ask, oneSlot, elsewhere, noon).kind, 'refused');
  t.is(acquire(emptyLock('db'), ask, oneSlot, [], noon).kind, 'granted');
});

test('a phase is taken from the holder alone, by its fence', t => {
  const state = heldBy('a');
  t.is(setPhase(state, 'a', '100', 'rebooting')?.holders[0]?.phase, 'rebooting');
  t.is(setPhase(state, 'a', '99', 'rebooting'), undefined);
  t.is(setPhase(state, 'b', '100', 'rebooting'), undefined);
});

test('release: on the new version', t => {
  t.like(release(heldBy('a'), 'a', {fence: '100', version: '2.0.0'}), {
    kind: 'updated',
    next: {group: 'web', holders: []},
  });
});

test('release: back on the old version after a reboot is a failure', t => {
  const state = setPhase(heldBy('a'), 'a', '100', 'rebooting') ?? emptyLock('web');
  t.like(release(state, 'a', {fence: '100', version: '1.0.0'}), {kind: 'failed', next: {holders: []}});
});

test('release: without a reboot it is put off', t => {
  t.like(release(heldBy('a'), 'a', {version: '1.0.0'}), {kind: 'put-off', next: {holders: []}});
});

test('release: after its last word to the lock the reboot did not come about', t => {
  const state = setPhase(heldBy('a'), 'a', '100', 'rebooting') ?? emptyLock('web');
  t.is(release(state, 'a', {version: '1.0.0', rebooted: false}).kind, 'put-off');
  t.is(release(state, 'a', {version: '1.5.0', rebooted: false}).kind, 'failed', 'nor did it stay as it was');
  t.is(release(heldBy('a'), 'a', {version: '1.0.0', rebooted: true}).kind, 'failed');
});

test('release: a fence of an earlier grant frees nothing', t => {
  t.deepEqual(release(heldBy('a'), 'a', {fence: '99', version: '2.0.0'}), {kind: 'fenced'});
});

test('release: fine when nothing is held', t => {
  t.is(release(heldBy('a'), 'b', {fence: '1', version: '2.0.0'}).kind, 'nothing-held');
});

test('a group that a deadline halted goes on when the late machine is back', t => {
  const state = heldBy('a');
  t.truthy(haltReason(state, undefined, later(601)));
  t.is(haltReason(withoutHolder(state, 'a'), undefined, later(601)), undefined);
});

test('power is cycled once for a grant', t => {
  const once = markPowerCycled(heldBy('a'), 'a', '100', later(700));
  t.truthy(once);
  if (once !== undefined) t.is(markPowerCycled(once, 'a', '100', later(800)), undefined);
});

type Call =
  | {readonly do: 'acquire'; readonly machine: string; readonly domain: string | undefined}
  | {readonly do: 'release'; readonly machine: string; readonly version: string}
  | {readonly do: 'phase'; readonly machine: string; readonly phase: 'rebooting' | 'proving'}
  | {readonly do: 'gone'; readonly machine: string}
  | {readonly do: 'pass'; readonly seconds: number};

const machine = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
const domain = fc.constantFrom('r1', 'r2', undefined);
const version = fc.constantFrom('1.0.0', '2.0.0');
const phase = fc.constantFrom('rebooting' as const, 'proving' as const);
const call: fc.Arbitrary<Call> = fc.oneof(
  {weight: 4, arbitrary: fc.record({do: fc.constant('acquire' as const), machine, domain})},
  {weight: 2, arbitrary: fc.record({do: fc.constant('release' as const), machine, version})},
  {weight: 1, arbitrary: fc.record({do: fc.constant('phase' as const), machine, phase})},
  {weight: 1, arbitrary: fc.record({do: fc.constant('gone' as const), machine})},
  {
    weight: 1,
    arbitrary: fc.record({do: fc.constant('pass' as const), seconds: fc.integer({min: 1, max: 500})}),
  },
);
const anyRules = fc.record({
  slots: fc.integer({min: 1, max: 4}),
  domainRule: fc.constantFrom('one-at-a-time' as const, 'one-per-domain' as const),
  allowQuorumLoss: fc.constant(false),
});

test('over any sequence of calls: never more holders than slots, no slot twice, domains apart, calls idempotent', t => {
  fc.assert(
    fc.property(anyRules, fc.array(call, {maxLength: 60}), (rules, calls) => {
      let state = emptyLock('web');
      let now = noon;
      for (const [index, one] of calls.entries()) {
        if (one.do === 'pass') now = new Date(now.getTime() + one.seconds * 1000);
        const before = state;
        state = stamped(perform(before, one, rules, now), index);
        t.deepEqual(perform(state, one, rules, now), state);
        t.true(state.holders.length <= rules.slots);
        t.is(new Set(state.holders.map(({slot}) => slot)).size, state.holders.length);
        t.true(state.holders.every(({slot}) => slot <= rules.slots));
        t.true(domainsHold(state, rules));
        const late = before.holders.some(({deadline}) => Date.parse(deadline) < now.getTime());
        if (late) t.true(state.holders.length <= before.holders.length);
      }
    }),
  );
});

function perform(state: LockState, one: Call, rules: Rules, now: Date): LockState {
  switch (one.do) {
    case 'acquire': {
      const result = acquire(state, wish(one.machine, {domain: one.domain}), rules, [], now);
      return result.kind === 'refused' ? state : result.next;
    }
    case 'release': {
      const result = release(state, one.machine, {version: one.version});
      return result.kind === 'fenced' ? state : result.next;
    }
    case 'phase':
      return setPhase(state, one.machine, find(state, one.machine)?.fence ?? '', one.phase) ?? state;
    case 'gone':
      return withoutHolder(state, one.machine);
    case 'pass':
    default:
      return state;
  }
}

function stamped(state: LockState, revision: number): LockState {
  return {
    ...state,
    holders: state.holders.map(holder => ({...holder, fence: holder.fence ?? String(revision)})),
  };
}

function domainsHold({holders}: LockState, {domainRule}: Rules): boolean {
  const domains = holders.map(({domain}) => domain);
  if (domainRule === 'one-at-a-time') return new Set(domains).size <= 1;
  const named = domains.filter(domain => domain !== undefined);
  return new Set(named).size === named.length;
}

test('a share of slots is at least one, never all, and never more than the share', t => {
  fc.assert(
    fc.property(fc.integer({min: 1, max: 100}), fc.integer({min: 0, max: 5000}), (percent, machines) => {
      const count = slotCount(`${percent}%`, machines);
      t.true(count >= 1 && (machines <= 1 || count < machines));
      t.true(count === 1 || count <= (machines * percent) / 100);
    }),
  );
});

const counts: readonly (readonly [Slots, number, number])[] = [
  [3, 100, 3],
  ['25%', 8, 2],
  ['25%', 3, 1],
  ['100%', 3, 2],
  ['10%', 0, 1],
  ['12.5%', 16, 2],
];
for (const [slots, machines, expected] of counts) {
  test(`${slots} of ${machines} machines: ${expected}`, t => t.is(slotCount(slots, machines), expected));
}
