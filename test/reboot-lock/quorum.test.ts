import test from 'ava';
import * as fc from 'fast-check';
import {quorum, quorumObstacle} from '../../services/reboot-lock/quorum.ts';
import type {Holder} from '../../services/reboot-lock/record.ts';
import {etcdCluster, heldBy, wish} from './support.ts';

/** title: [members, healthy, others away, allowQuorumLoss, may go] */
const cases: Readonly<Record<string, readonly [number, number, number, boolean, boolean]>> = {
  'three, all well': [3, 3, 0, false, true],
  'three, one ill': [3, 2, 0, false, false],
  'three, one ill, with the switch for small clusters': [3, 2, 0, true, false],
  'three, one away under the lock': [3, 3, 1, false, false],
  'five, one away': [5, 5, 1, false, true],
  'five, two away': [5, 5, 2, false, false],
  two: [2, 2, 0, false, false],
  'two, allowed': [2, 2, 0, true, true],
  'two, allowed, the other one away': [2, 2, 1, true, false],
  one: [1, 1, 0, false, false],
  'one, allowed': [1, 1, 0, true, true],
  'more answer than there are members': [3, 5, 1, false, false],
};
for (const [title, [members, healthy, away, allow, may]] of Object.entries(cases)) {
  test(`${title}: ${may ? 'goes' : 'waits'}`, t => {
    const obstacle = quorumObstacle(etcdCluster(members, healthy), awayFrom(members, away), allow);
    t.is(obstacle === undefined, may, obstacle);
  });
}

test('holders of other clusters do not count', t => {
  const {holders} = heldBy(
    wish('a', {clusters: [etcdCluster(3, 3, 'other')]}),
    wish('b', {clusters: [{...etcdCluster(3, 3), kind: 'swarm'}]}),
  );
  t.is(quorumObstacle(etcdCluster(3, 3), holders, false), undefined);
});

test('whoever goes, a majority of the members that answer stays', t => {
  const count = fc.record({
    members: fc.integer({min: 3, max: 9}),
    healthy: fc.integer({min: 0, max: 9}),
    away: fc.nat({max: 4}),
  });
  fc.assert(
    fc.property(count, fc.boolean(), ({members, healthy, away}, allow) => {
      const obstacle = quorumObstacle(etcdCluster(members, healthy), awayFrom(members, away), allow);
      const left = Math.min(healthy, members) - away - 1;
      t.is(obstacle === undefined, left >= quorum(members));
    }),
  );
});

function awayFrom(members: number, away: number): readonly Holder[] {
  const names = Array.from({length: away}, (_, index) => `m${index}`);
  return heldBy(...names.map(name => wish(name, {clusters: [etcdCluster(members, members)]}))).holders;
}
