import test from 'ava';
import {scaledClock} from '../../infra/bench/rollout-clock.ts';
import {groupConfig, minimumSeconds, outSeconds, planFor, steps} from '../../infra/bench/rollout-plan.ts';
import {checkWaves} from '../../services/update-server/waves.ts';

test('the least time of the plan: each wave stages and goes through the slots, with soaks between', t => {
  const plan = planFor(10_000);
  t.deepEqual(plan.waves, [10, 990, 9000]);
  t.is(plan.slots, 1000);
  const rounds = 1 + 1 + 9;
  t.is(minimumSeconds(plan), 3 * steps.stage + rounds * outSeconds + 2 * 300);
  t.notThrows(() => checkWaves(groupConfig(plan).waves ?? []));
});

test('two scaled clocks with one origin agree, and run faster than the system', async t => {
  const origin = Date.now() - 60_000;
  const [one, two] = [scaledClock(origin, 10), scaledClock(origin, 10)];
  t.true(Math.abs(one.now().getTime() - two.now().getTime()) < 5000);
  const ahead = one.now().getTime() - origin;
  t.true(ahead >= 10 * 59_000, `${ahead} ms`);
  const before = one.now().getTime();
  await one.sleep(100);
  t.true(two.now().getTime() - before >= 90);
});
