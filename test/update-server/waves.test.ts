import * as fc from 'fast-check';
import test from 'ava';
import type {RolloutWave, WaveConfig} from '../../services/common/contracts/policy.ts';
import {rankOf} from '../../services/update-server/rank.ts';
import {
  checkWaves,
  expectedWaves,
  openCount,
  openNext,
  planWaves,
  waveOf,
  type Candidate,
} from '../../services/update-server/waves.ts';
import {uuidOf} from './support.ts';

const START = '2026-03-02T10:00:00.000Z';

function machines(
  count: number,
  labels: (index: number) => Record<string, string> = () => ({}),
): Candidate[] {
  return Array.from({length: count}, (_, index) => ({
    rank: rankOf('rollout-1', uuidOf(index)),
    labels: labels(index),
    firstSeen: START,
  }));
}

function reached(all: readonly Candidate[], waves: readonly RolloutWave[]): Set<string> {
  return new Set(all.filter(each => waveOf(each, waves) !== undefined).map(({rank}) => rank));
}

const plan = (waves: WaveConfig[], all: readonly Candidate[] = []) =>
  planWaves({channel: 'stable', waves}, all);

test('a plan ends with everybody, and a domain becomes a wave for each of its values', t => {
  const all = machines(4, index => (index === 3 ? {} : {zone: `z${index % 2}`}));
  t.deepEqual(
    plan([{labels: {canary: 'true'}}, {domain: 'zone'}, {share: 50}], all).map(({name}) => name),
    ['canary=true', 'zone=z0', 'zone=z1', '50%', 'the rest'],
  );
  t.deepEqual(
    planWaves({channel: 'stable'}, []).map(({name, take}) => [name, take]),
    [['all', {kind: 'share', share: 100}]],
  );
});

test('waves that cannot be meant are refused', t => {
  for (const waves of [
    [{}],
    [{share: 10, machines: 1}],
    [{share: 50}, {share: 50}],
    [{share: 50}, {share: 10}],
    [{share: 100}, {machines: 1}],
    [{labels: {}}],
  ] satisfies WaveConfig[][])
    t.throws(() => checkWaves(waves), {code: 'malformed'}, JSON.stringify(waves));
});

const shares = fc
  .uniqueArray(fc.integer({min: 1, max: 99}), {maxLength: 5})
  .map(all => all.sort((a, b) => a - b));

test('no wave ever reaches more machines than it may, however the group changes meanwhile; and none falls out', t => {
  fc.assert(
    fc.property(
      shares,
      fc.integer({min: 1, max: 120}),
      fc.array(fc.integer({min: 0, max: 40}), {minLength: 6, maxLength: 6}),
      fc.integer({min: 0, max: 10}),
      (percents, count, joins, canaries) => {
        let all = machines(count, index => (index < canaries ? {canary: 'true'} : {}));
        const config: WaveConfig[] = [{labels: {canary: 'true'}}, ...percents.map(share => ({share}))];
        let waves = plan(config);
        let before = new Set<string>();
        for (let step = 0; openCount(waves) < waves.length; step += 1) {
          const opening = openCount(waves);
          waves = openNext(waves, all, new Date(Date.parse(START) + step * 60_000).toISOString());
          const now = reached(all, waves);
          for (const rank of before) t.true(now.has(rank), 'a machine that was reached stays reached');
          const {take} = waves[opening] ?? {take: undefined};
          if (take?.kind === 'share') {
            const allowed = Math.max(Math.floor((all.length * take.share) / 100), 1);
            t.true(now.size <= Math.max(allowed, before.size));
          }
          before = now;
          // Machines that join later are not in a wave that is open, unless it takes them by label or takes all.
          const joined = Array.from({length: joins[step] ?? 0}, (_, index) => ({
            rank: rankOf('rollout-1', uuidOf(1000 * (step + 1) + index)),
            labels: {},
            firstSeen: new Date(Date.parse(START) + step * 60_000 + 1).toISOString(),
          }));
          all = [...all, ...joined];
          if (openCount(waves) < waves.length) t.is(reached(all, waves).size, before.size);
        }
        t.is(reached(all, waves).size, all.length, 'in the end everybody is reached');
      },
    ),
  );
});

test('the waves that are foretold are the waves that come', t => {
  const all = machines(50);
  let waves = plan([{machines: 1}, {share: 30}, {share: 60}]);
  const expected = expectedWaves({waves: [...waves]}, all, START);
  while (openCount(waves) < waves.length) waves = openNext(waves, all, START);
  for (const each of all) t.is(waveOf(each, waves), expected.get(each.rank));
});

test('another rollout reaches machines in another order', t => {
  const order = (rollout: string) =>
    Array.from({length: 50}, (_, index) => index).sort((a, b) =>
      rankOf(rollout, uuidOf(a)) < rankOf(rollout, uuidOf(b)) ? -1 : 1,
    );
  t.deepEqual(order('one'), order('one'));
  t.notDeepEqual(order('one'), order('two'));
});
