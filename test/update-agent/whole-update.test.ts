import test from 'ava';
import {createRandom} from '../../infra/labs/random.ts';
import {rootHashOf, simulated} from './support.ts';

test('an update goes all the way: staged, locked, drained, booted, proven, back in service, lock released', async t => {
  const {machine, server} = simulated({'1.1.0': 'good'});
  server.wanted = {action: 'apply', version: '1.1.0'};
  const first = await machine.run();
  t.is(first.state.phase, 'rebooting');
  t.is(first.wake, 'never');
  t.deepEqual(machine.log, ['stage 1.1.0', 'drain', 'reboot']);
  t.is(server.holder, 'machine');
  await machine.boot();
  t.is(machine.own.version, '1.1.0');
  t.true(machine.drained, 'not before it is back');
  const second = await machine.run();
  t.is(second.state.phase, 'idle');
  t.false(machine.drained);
  t.is(server.holder, undefined);
  t.deepEqual(server.released, ['1.1.0']);
  t.true(machine.esp.has('hawser_1.1.0.efi'));
  t.is(machine.record.trial, undefined);
  t.deepEqual(
    machine.record.history.map(event => event.kind),
    ['staged', 'draining', 'rebooting', 'updated', 'in-service'],
  );
});

for (const [behaviour, reason] of [
  ['unhealthy', 'unhealthy'],
  ['dead', 'did-not-boot'],
] as const) {
  test(`a release that is ${behaviour} is left, remembered, reported and never tried again`, async t => {
    const {machine, server} = simulated({'1.1.0': behaviour});
    server.wanted = {action: 'apply', version: '1.1.0'};
    await machine.run();
    await machine.boot();
    t.is(machine.own.version, '1.0.0');
    const after = await machine.run();
    t.is(after.state.phase, 'idle');
    t.like(machine.record.failed, [{version: '1.1.0', rootHash: rootHashOf('1.1.0'), reason}]);
    t.deepEqual(server.released, ['1.0.0'], 'released with the version that runs: the update failed');
    t.like(server.checks.at(-1), {failed: [{version: '1.1.0', reason}]});
    t.false(machine.drained);
    for (let run = 0; run < 3; run += 1) await machine.run();
    t.is(machine.log.filter(line => line === 'stage 1.1.0').length, 1);
    t.deepEqual([...machine.esp], ['hawser_1.0.0.efi']);
  });
}

test('a staged release that is withdrawn before its reboot is dropped; one that is superseded gives way', async t => {
  const {machine, server, known} = simulated({'1.1.0': 'good', '1.2.0': 'good'});
  server.wanted = {action: 'stage', version: '1.1.0'};
  t.is((await machine.run()).state.phase, 'staged');
  server.wanted = undefined;
  t.is((await machine.run()).state.phase, 'idle');
  t.true(machine.log.includes('drop 1.1.0'));

  server.wanted = {action: 'stage', version: '1.1.0'};
  await machine.run();
  server.wanted = {action: 'apply', version: '1.1.0'};
  known.delete('1.1.0');
  t.is((await machine.run()).state.phase, 'idle', 'the server did not say so, the signed metadata does');
  t.false(machine.rebooting);

  server.wanted = {action: 'stage', version: '1.2.0'};
  await machine.run();
  t.is(machine.record.staged?.version, '1.2.0');
});

test('two servers that disagree: the machine stays whole whoever answers, and follows them once they agree', async t => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = createRandom(seed);
    const {machine, server} = simulated(
      {'1.1.0': 'good', '1.2.0': 'good'},
      {
        ports: simulatedMachine => {
          const {server: own} = simulatedMachine.basePorts();
          return {
            server: {
              ...own,
              // One has not heard of 1.2.0 yet; the lock, in etcd, is one for both.
              check: request => {
                if (disagree) server.wanted = random() < 0.5 ? behind : {action: 'apply', version: '1.2.0'};
                return own.check(request);
              },
            },
          };
        },
      },
    );
    let disagree = true;
    const behind = random() < 0.5 ? undefined : ({action: 'apply', version: '1.1.0'} as const);
    const round = async () => {
      const {record} = await machine.run();
      const why = `seed ${seed}: ${machine.log.join(', ')}`;
      t.deepEqual(record.failed, [], why);
      t.false(machine.drained && record.lock === undefined, why);
      if (!machine.rebooting) return;
      t.not(record.lock?.fence, undefined, why);
      await machine.boot();
    };
    for (let count = 0; count < 12; count += 1) await round();
    disagree = false;
    server.wanted = {action: 'apply', version: '1.2.0'};
    for (let count = 0; count < 8; count += 1) await round();
    t.is(machine.own.version, '1.2.0', `seed ${seed}: ${machine.log.join(', ')}`);
    t.is(machine.record.lock, undefined);
    t.is(server.holder, undefined);
    t.false(machine.drained);
  }
});

test('a lock that is held is waited for, and nothing is left of the asking', async t => {
  const {machine, server} = simulated({'1.1.0': 'good'});
  server.holder = 'another';
  server.wanted = {action: 'apply', version: '1.1.0'};
  const result = await machine.run();
  t.is(result.state.phase, 'locking');
  t.regex(result.waitsFor ?? '', /all-slots-held.*another/);
  t.is(machine.record.lock, undefined);
  t.false(machine.drained);
  server.holder = undefined;
  t.is((await machine.run()).state.phase, 'rebooting');
});

test('the operator goes back to the release in the other slot; what was left does not come again', async t => {
  const {machine, server} = simulated({'1.1.0': 'good'});
  server.wanted = {action: 'apply', version: '1.1.0'};
  await machine.run();
  await machine.boot();
  await machine.run();
  const {other} = await machine.ports().facts();
  t.like(other, {version: '1.0.0', source: 'slot'});
  if (other === undefined) return;
  const asked = await machine.run({first: {kind: 'rollback-asked', release: other}});
  t.is(asked.state.phase, 'rebooting');
  await machine.boot();
  t.is(machine.own.version, '1.0.0');
  t.is((await machine.run()).state.phase, 'idle');
  t.like(machine.record.failed, [{version: '1.1.0', reason: 'rolled-back'}]);
  await machine.run();
  t.false(machine.rebooting);
});

test('a power cut at any command leaves a machine that comes back whole and goes on', async t => {
  for (let cut = 1; ; cut += 1) {
    let calls = 0;
    let armed = true;
    const trip = () => {
      calls += 1;
      if (armed && calls === cut) {
        armed = false;
        throw new Error('power cut');
      }
    };
    const {machine, server} = simulated(
      {'1.1.0': 'good'},
      {
        ports: machine => {
          // The machine's own ports without this replacement.
          const own = machine.basePorts();
          const cutting = <Port extends object>(port: Port): Port =>
            new Proxy(port, {
              get: (target, key) => {
                const value: unknown = Reflect.get(target, key);
                if (typeof value !== 'function') return value;
                return async (...args: unknown[]) => {
                  trip();
                  const result: unknown = await Reflect.apply(value, target, args);
                  trip();
                  return result;
                };
              },
            });
          return {
            record: cutting(own.record),
            slots: cutting(own.slots),
            drain: cutting(own.drain),
            server: cutting(own.server),
            boot: cutting(own.boot),
            health: cutting(own.health),
          };
        },
      },
    );
    server.wanted = {action: 'apply', version: '1.1.0'};
    let cuts = 0;
    for (let round = 0; round < 12; round += 1) {
      try {
        await machine.run();
        if (machine.rebooting) await machine.boot();
      } catch (error) {
        if (!(error instanceof Error) || error.message !== 'power cut') throw error;
        cuts += 1;
        await machine.boot();
      }
    }
    t.is(machine.own.version, '1.1.0', `cut ${cut}: ${machine.log.join(', ')}`);
    t.is(server.holder, undefined, `cut ${cut}`);
    t.false(machine.drained, `cut ${cut}`);
    t.is(machine.record.lock, undefined);
    t.deepEqual(machine.record.failed, [], `cut ${cut}`);
    if (cuts === 0) {
      t.true(cut > 40, `only ${cut} places`);
      return;
    }
  }
});
