/** What the agent makes of the server's lines, of a store that was lost, and of blocks that it does not need. */
import test from 'ava';
import type {OverlayItem, WatchLine} from '../../services/common/contracts/overlay.ts';
import {idleMs, idleSince, toGiveBack} from '../../services/overlay-agent/idle-blocks.ts';
import {openMemory} from '../../services/overlay-agent/memory.ts';
import type {AgentStore} from '../../services/overlay-agent/ports.ts';
import {emptyRecord, type AgentRecord} from '../../services/overlay-agent/record.ts';
import {FollowedState, type StoredState} from '../../services/overlay-agent/state.ts';
import {manualClock, uuidOf} from '../update-server/support.ts';
import {silent} from './support/agent-bench.ts';
import {host, lease, network, stateOf} from './support/builders.ts';

const web = network('10.99.0.0/24', {name: 'web'});
const item = (kind: OverlayItem['kind'], key: string, value?: unknown): OverlayItem => ({
  kind,
  key,
  ...(value === undefined ? {} : {value}),
});
const all = (epoch: string, revision: number, ...items: OverlayItem[]): WatchLine => ({
  kind: 'all',
  epoch,
  revision: String(revision),
  items,
});
const store = (state?: StoredState): AgentStore => ({
  loadRecord: () => Promise.resolve(emptyRecord),
  saveRecord: () => Promise.resolve(),
  loadState: () => Promise.resolve(state),
  saveState: () => Promise.resolve(),
});

test('lines make the state, a value that nobody knows is left out, and it survives being stored', t => {
  const state = FollowedState.from({
    kind: 'all',
    epoch: 'e',
    revision: '5',
    items: [
      item('networks', web.id, web),
      item('hosts', uuidOf(1), host(1)),
      item('leases', 'x/y', {schema: 9}),
    ],
  });
  t.is(state.leases.size, 0);
  state.take({
    revision: '6',
    items: [item('leases', `${web.id}/10.99.0.0-29`, lease(web, '10.99.0.0/29', 1))],
  });
  const again = FollowedState.of(state.stored());
  t.deepEqual(again.stored(), state.stored());
  again.take({revision: '7', items: [item('leases', `${web.id}/10.99.0.0-29`)]});
  t.is(again.leases.size, 0);
  t.is(again.revision, 7n);
});

test('a lost store: what was agreed counts on for a while, beside what is agreed anew', async t => {
  const clock = manualClock();
  const memory = await openMemory(
    store(stateOf([web], [host(1)], [lease(web, '10.99.0.0/29', 1)]).stored()),
    clock,
    silent,
    () => undefined,
  );
  memory.take(all('e', 9, item('networks', web.id, web)));
  t.is(memory.lost(), undefined, 'later in the same store');
  t.is(memory.state().leases.size, 0);
  for (const [epoch, revision, why] of [
    ['other', 2, 'another store'],
    ['other', 1, 'set back'],
  ] as const) {
    memory.take({
      kind: 'changes',
      revision: '10',
      items: [item('leases', `${web.id}/10.99.0.0-29`, lease(web, '10.99.0.0/29', 1))],
    });
    memory.take(all(epoch, revision));
    const lost = memory.lost() ?? t.fail();
    clock.advance(3600);
    t.true(memory.settling(), 'for as long as this host could not say it again');
    memory.said(lost);
    t.is(memory.lost(), undefined);
    t.deepEqual([memory.state().networks.size, memory.state().leases.size], [1, 1], why);
    memory.take({kind: 'changes', revision: String(revision + 1), items: [item('networks', 'new', web)]});
    t.is(memory.state().networks.size, 2);
    clock.advance(61);
    t.false(memory.settling());
    t.deepEqual([memory.state().networks.size, memory.state().leases.size], [1, 0], why);
    memory.take({
      kind: 'changes',
      revision: '5',
      items: [item('networks', web.id, web), item('networks', 'new')],
    });
  }
  await memory.flush();
});

test('a block without a container goes back after a while, unless too little would stay free', t => {
  const state = stateOf(
    [web],
    [],
    [lease(web, '10.99.0.0/29', 1), lease(web, '10.99.0.8/29', 1), lease(web, '10.99.0.16/29', 2)],
  );
  const using = (address: string): AgentRecord => ({
    ...emptyRecord,
    allocations: [{network: web.id, address, by: 'docker', at: '2026-03-02T10:00:00Z'}],
  });
  const used = using('10.99.0.2');
  const idle = idleSince(new Map(), state, used, uuidOf(1), 1000);
  t.deepEqual([...idle], [[`${web.id}/10.99.0.8/29`, 1000]]);
  t.deepEqual([...idleSince(idle, state, used, uuidOf(1), 5000)], [...idle], 'since then');
  t.deepEqual(
    [...idleSince(idle, state, using('10.99.0.9'), uuidOf(1), 5000).keys()],
    [`${web.id}/10.99.0.0/29`],
  );
  const back = (at: number, record: AgentRecord) => toGiveBack(idle, state, record, uuidOf(1), at);
  t.deepEqual(back(1000 + idleMs - 1, used), []);
  t.deepEqual(back(1000 + idleMs, used), [{network: web.id, block: '10.99.0.8/29'}]);
  const full = {
    ...emptyRecord,
    allocations: [2, 3, 4, 5, 6].flatMap(last => using(`10.99.0.${last}`).allocations),
  };
  t.deepEqual(back(1000 + idleMs, full), [], 'three left would be too few');
});
