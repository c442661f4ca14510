import test from 'ava';
import {fingerprintOf} from '../../../services/common/rack-crypto.ts';
import {Boot, macOf, rackBench} from './support.ts';

const MACHINES = 100;

test('a hundred machines at once report, are approved, fetch and install, each once', async t => {
  const bench = await rackBench(t);
  const began = performance.now();
  const boots = Array.from({length: MACHINES}, (_, index) => new Boot(t, bench, index + 1));
  const begun = await Promise.all(
    boots.map(async boot => {
      await boot.report();
      await bench.rack.approve(macOf(boot.number), 'alice', fingerprintOf(boot.own.keys));
      const permit = boot.open(await boot.report());
      t.is((await boot.config(permit.config.token, true)).status, 200);
      const attempts = await Promise.all(['A', 'B'].map(letter => boot.begin(permit, letter.repeat(22))));
      t.is((await boot.installed(permit)).status, 200);
      return attempts.filter(({status}) => status === 200).length;
    }),
  );
  t.deepEqual(
    begun,
    Array.from({length: MACHINES}, () => 1),
  );
  const machines = await bench.rack.list();
  t.is(new Set(machines.map(({name}) => name)).size, MACHINES);
  t.true(machines.every(({state}) => state === 'installed'));
  t.log(`${MACHINES} machines in ${((performance.now() - began) / 1000).toFixed(1)} s`);
});
