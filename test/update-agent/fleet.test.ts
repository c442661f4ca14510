/** A fleet of simulated machines, each with the real agent, against the real update server and the real reboot lock. */
import test, {type ExecutionContext} from 'ava';
import fastify from 'fastify';
import type {Caller} from '../../services/common/contracts/caller.ts';
import {createMemoryStore as createLockStore} from '../../services/reboot-lock/adapters/memory-store.ts';
import {rebootLock} from '../../services/reboot-lock/plugin.ts';
import {httpServer} from '../../services/update-agent/adapters/server.ts';
import type {AgentPorts} from '../../services/update-agent/ports.ts';
import type {MachineHttp} from '../../services/common/machine-http.ts';
import {createMemoryStore} from '../../services/update-server/adapters/memory-store.ts';
import {createEvents, policiesOf, webPolicy} from '../reboot-lock/support.ts';
import {SimulatedMachine, type Behaviour} from '../support/simulated-machine.ts';
import {bench, uuidOf} from '../update-server/support.ts';
import {manifest, rootHashOf, testReleases} from './support.ts';

const names = [1, 2, 3, 4, 5];

type Faults = (machine: SimulatedMachine) => Partial<AgentPorts>;

async function fleet(t: ExecutionContext, behaviour: Behaviour, faults: Faults = () => ({})) {
  const server = await bench(t, createMemoryStore());
  const app = fastify();
  t.teardown(() => app.close());
  const lockStore = createLockStore();
  const events = createEvents();
  await app.register(rebootLock, {
    store: lockStore,
    policies: policiesOf({...webPolicy, machines: names.length}),
    events,
    clock: server.clock,
    random: () => 0.5,
    callerOf: request => JSON.parse(String(request.headers['x-caller'])) as Caller,
  });
  await server.as('operator', 'PUT', '/v1/channels/stable', {});
  for (const version of ['1.0.0', '1.1.0']) await server.publish(version, {rootHash: rootHashOf(version)});
  await server.group('web', {channel: 'stable', selector: {}, waves: [{machines: 1}], stopAfter: 1});

  let out = 0;
  let mostOut = 0;
  const machines = names.map(number => {
    const caller = JSON.stringify({kind: 'machine', uuid: uuidOf(number), name: `m${number}`});
    const http: MachineHttp = {
      post: async (url, body) => {
        const given = {
          method: 'POST' as const,
          url: url.pathname,
          headers: {'x-caller': caller},
          payload: body as object,
        };
        const answer = await (url.pathname.startsWith('/v1/lock/') ? app : server.app).inject(given);
        await server.service.conductor.settle();
        return {status: answer.statusCode, body: answer.rawPayload};
      },
      open: () => Promise.reject(new Error('no repository here')),
      close: () => undefined,
    };
    return new SimulatedMachine({
      name: `m${number}`,
      first: {manifest: manifest('1.0.0'), behaviour: 'good'},
      server: httpServer('https://server/', http),
      releases: testReleases(new Map(['1.0.0', '1.1.0'].map(version => [version, manifest(version)]))),
      clock: server.clock,
      behaviours: new Map([[rootHashOf('1.1.0'), behaviour]]),
      ports: machine => {
        const {drain} = machine.basePorts();
        return {
          ...faults(machine),
          drain: {
            ...drain,
            drain: waiting => {
              out += 1;
              mostOut = Math.max(mostOut, out);
              return drain.drain(waiting);
            },
            undo: waiting => {
              if (machine.drained) out -= 1;
              return drain.undo(waiting);
            },
          },
        };
      },
    });
  });
  const rounds = async (count: number) => {
    for (let round = 0; round < count; round += 1) {
      for (const machine of machines) {
        await machine.run();
        if (machine.rebooting) await machine.boot();
      }
      server.clock.advance(300);
      await server.service.conductor.settle();
    }
  };
  await rounds(1);
  await server.promote('1.1.0');
  return {machines, rounds, events, mostOut: () => mostOut};
}

test('a rollout reaches every machine, one at a time, and every one is back in service', async t => {
  const {machines, rounds, mostOut} = await fleet(t, 'good');
  await rounds(25);
  t.deepEqual(
    machines.map(machine => machine.own.version),
    names.map(() => '1.1.0'),
  );
  t.is(mostOut(), 1);
  t.true(machines.every(machine => !machine.drained && machine.record.lock === undefined));
  t.true(
    machines.every(machine => machine.record.events.length === 0),
    'the server has every event',
  );
});

test('a release that is unhealthy harms the machine that tried it first, and no other', async t => {
  const {machines, rounds, mostOut} = await fleet(t, 'unhealthy');
  await rounds(25);
  t.deepEqual(
    machines.map(machine => machine.own.version),
    names.map(() => '1.0.0'),
  );
  const tried = machines.filter(machine => machine.log.includes('reboot'));
  t.is(tried.length, 1);
  t.like(tried[0]?.record.failed, [{version: '1.1.0', reason: 'unhealthy'}]);
  t.is(mostOut(), 1);
  t.true(machines.every(machine => !machine.drained && machine.record.lock === undefined));
});

/** What goes wrong, once on each machine, after the lock has heard `rebooting`. */
const lateFaults: Readonly<Record<string, Faults>> = {
  'the release cannot be made bootable': machine => {
    const {slots} = machine.basePorts();
    return {
      slots: {
        ...slots,
        arm: async release =>
          once(machine, 'arm-failed') ? {kind: 'arm-failed', detail: 'the ESP is full'} : slots.arm(release),
      },
    };
  },
  'the reboot is refused': machine => {
    const {boot} = machine.basePorts();
    return {
      boot: {
        ...boot,
        reboot: async () =>
          once(machine, 'reboot-failed') ? {kind: 'reboot-failed', detail: 'inhibited'} : boot.reboot(),
      },
    };
  },
  'the answer to `rebooting` is lost': machine => {
    const {server} = machine.basePorts();
    return {
      server: {
        ...server,
        phase: async request => {
          const answer = await server.phase(request);
          if (request.phase !== 'rebooting' || !once(machine, 'answer-lost')) return answer;
          return {kind: 'lock-unreachable', detail: 'no answer'};
        },
      },
    };
  },
};

function once(machine: SimulatedMachine, what: string): boolean {
  if (machine.log.includes(what)) return false;
  machine.log.push(what);
  return true;
}

for (const [title, faults] of Object.entries(lateFaults)) {
  test(`${title}, after the lock heard of the reboot: put off, no failure, and the rollout goes on`, async t => {
    const {machines, rounds, events} = await fleet(t, 'good', faults);
    await rounds(60);
    t.deepEqual(events.failures, []);
    t.true(machines.every(({record}) => record.history.some(({kind}) => kind === 'put-off')));
    t.deepEqual(
      machines.map(machine => machine.own.version),
      names.map(() => '1.1.0'),
    );
    t.true(machines.every(machine => !machine.drained && machine.record.lock === undefined));
  });
}
