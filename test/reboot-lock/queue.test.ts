/** How often a group is written when it has many holders. */
import test from 'ava';
import {createMemoryStore} from '../../services/reboot-lock/adapters/memory-store.ts';
import type {LockStore} from '../../services/reboot-lock/ports.ts';
import {createGroupQueue, restMs} from '../../services/reboot-lock/queue.ts';
import {encodeLock} from '../../services/reboot-lock/record.ts';
import {acquire, release, withoutHolder} from '../../services/reboot-lock/semaphore.ts';
import {createTestClock, heldBy, noon, oneSlot, uuid, wish} from './support.ts';

const machines = Array.from({length: 400}, (_, index) => uuid(index + 1));

test('a group with many holders rests between commits, and wishes gather meanwhile into one', async t => {
  const memory = createMemoryStore();
  memory.put('web', encodeLock(heldBy(...machines)));
  let commits = 0;
  const store: LockStore = {
    read: () => memory.read(),
    change: change => {
      commits++;
      return memory.change(change);
    },
  };
  const rests: {ms: number; end: () => void}[] = [];
  const clock = {
    ...createTestClock(),
    sleep: (ms: number) => new Promise<void>(end => rests.push({ms, end})),
  };
  const queue = createGroupQueue(store, clock, () => 0.5);
  const giveBack = (machine: string) =>
    queue.run('web', machine, state => ({answer: machine, next: withoutHolder(state, machine)}));
  const [first = '', ...others] = machines;
  t.is((await giveBack(first)).answer, first, 'answered before the rest');
  const later = Promise.all(others.slice(0, 50).map(giveBack));
  await new Promise(resolve => setImmediate(resolve));
  t.is(commits, 1);
  t.deepEqual(
    rests.map(({ms}) => ms),
    [restMs(399)],
  );
  rests[0]?.end();
  await later;
  t.is(commits, 2);
  rests[1]?.end();
});

test('a group with few holders does not rest', t => {
  t.is(restMs(0), 0);
  t.is(restMs(64), 0);
  t.true(restMs(1000) < 1000, 'less than a second for a thousand');
});

test('a refusal names a few holders, whoever else there is, and counts them all', t => {
  const state = heldBy(...machines);
  const rules = {...oneSlot, slots: 400, domainRule: 'one-per-domain'} as const;
  const refused = acquire(state, wish(uuid(1000)), rules, [], noon);
  if (refused.kind !== 'refused') throw new Error(refused.kind);
  const {message, holders} = refused.refusal;
  t.regex(message, /^400 of 400 held: name-of-.* and 392 more$/);
  t.is(holders.length, 8);
  t.true(JSON.stringify(refused).length < 4000);
  t.is(release(state, uuid(400), {version: '2.0.0'}).kind, 'updated', 'found all the same');
});
