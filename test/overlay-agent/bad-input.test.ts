/** What nobody should send to the agent, and what should not happen to its networks: told, and the agent goes on. */
import test from 'ava';
import * as fc from 'fast-check';
import {createMemoryStore} from '../../services/overlay-allocator/adapters/memory-store.ts';
import {cniCalls} from '../../services/overlay-agent/cni/calls.ts';
import {controlApp} from '../../services/overlay-agent/control.ts';
import {orphans, unclaimed} from '../../services/overlay-agent/desired.ts';
import type {OverlayError} from '../../services/overlay-agent/errors.ts';
import {createFaultBoard} from '../../services/overlay-agent/faults.ts';
import {claimAgain, keepAnnouncing, type FollowDeps} from '../../services/overlay-agent/follow.ts';
import {openMemory} from '../../services/overlay-agent/memory.ts';
import {emptyRecord} from '../../services/overlay-agent/record.ts';
import type {StoredState} from '../../services/overlay-agent/state.ts';
import {allocatorBench} from '../overlay-allocator/support.ts';
import {manualClock, uuidOf} from '../update-server/support.ts';
import {agentBench, silent, type AgentBench} from './support/agent-bench.ts';
import {host, lease, network, stateOf} from './support/builders.ts';

const word = fc.oneof(
  fc.constantFrom(
    'a'.repeat(64),
    'hawser/10.99.0.0/24',
    '10.99.0.9/24',
    '10.99.0.9',
    '999.1.1.1',
    'fd00::1/64',
    '',
    '/',
    'web',
  ),
  fc.string({maxLength: 30}),
);
const anything = fc.letrec(tie => ({
  value: fc.oneof(
    {maxDepth: 3},
    word,
    fc.integer(),
    fc.constant(null),
    fc.boolean(),
    fc.array(tie('value'), {maxLength: 2}),
    tie('object'),
  ),
  object: fc.dictionary(
    fc.constantFrom(
      'NetworkID',
      'EndpointID',
      'PoolID',
      'Pool',
      'Address',
      'Options',
      'IPv4Data',
      'Interface',
      'AddressSpace',
      'MacAddress',
      'AuxAddresses',
      'V6',
    ),
    tie('value'),
    {maxKeys: 6},
  ),
}));

test('whatever is sent to the plugin, there is an answer in JSON, and a refusal changes nothing', async t => {
  const bench = await agentBench(t, await allocatorBench(t, createMemoryStore()), 1);
  await bench.agent.createNetwork({subnet: '10.99.0.0/24', name: 'web'});
  const calls = [
    ...[
      'CreateNetwork',
      'DeleteNetwork',
      'CreateEndpoint',
      'DeleteEndpoint',
      'EndpointOperInfo',
      'Join',
      'Leave',
    ].map(name => `NetworkDriver.${name}`),
    ...['RequestPool', 'ReleasePool', 'RequestAddress', 'ReleaseAddress'].map(name => `IpamDriver.${name}`),
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...calls),
      fc.oneof(
        fc.json(),
        anything.object.map(value => JSON.stringify(value)),
        fc.string(),
      ),
      async (name, body) => {
        const before = JSON.stringify(bench.memory.record());
        const answer = await bench.plugin.inject({method: 'POST', url: `/${name}`, payload: body});
        const said: unknown = answer.json();
        if (answer.statusCode !== 200 || typeof said !== 'object' || said === null) return false;
        return !('Err' in said) || JSON.stringify(bench.memory.record()) === before;
      },
    ),
    {numRuns: 400},
  );
  t.like(await bench.docker('IpamDriver.RequestAddress', {PoolID: 'hawser/10.99.0.0/24', Address: ''}), {
    Address: '10.99.0.2/24',
  });
});

test('whatever is sent as CNI, there is an error of the specification', async t => {
  const {agent, memory} = await agentBench(t, await allocatorBench(t, createMemoryStore()), 1);
  const containers = {adopt: () => Promise.resolve(), look: () => Promise.resolve(undefined)};
  const app = controlApp({figures: () => '', cni: cniCalls({agent, memory, containers}), log: silent});
  t.teardown(() => app.close());
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('ADD', 'DEL', 'CHECK', 'STATUS', 'GC', '', 'add'),
      fc.stringMatching(/^[ -~]{0,20}$/),
      fc.oneof(
        fc.json(),
        fc.string(),
        fc.constantFrom('{"cniVersion":"1.1.0","name":"nowhere"}', '{"cniVersion":"1.1.0"}'),
      ),
      async (command, container, payload) => {
        const headers = {
          'x-cni-command': command,
          'x-cni-containerid': container,
          'x-cni-netns': '/x',
          'x-cni-ifname': 'eth0',
        };
        const answer = await app.inject({method: 'POST', url: '/cni', headers, payload});
        if (answer.statusCode === 200) return command === 'DEL';
        const {code, msg} = answer.json<{code: number; msg: string}>();
        return answer.statusCode === 422 && code > 0 && msg !== '';
      },
    ),
    {numRuns: 300},
  );
  t.deepEqual(memory.record(), emptyRecord);
});

const following = ({memory, server}: AgentBench, over: Partial<FollowDeps> = {}): FollowDeps => ({
  memory,
  server,
  self: () => ({machine: uuidOf(1), address: '192.0.2.1', mtu: 1500, port: 4789}),
  boot: 'boot-1',
  clock: manualClock(),
  random: () => 0,
  log: silent,
  connected: () => undefined,
  faults: createFaultBoard(),
  refused: () => undefined,
  ...over,
});

test('two hosts with one machine id: the one that is refused hands nothing out, and says why', async t => {
  const server = await allocatorBench(t, createMemoryStore());
  const bench = await agentBench(t, server, 1);
  await bench.agent.createNetwork({subnet: '10.99.0.0/24', name: 'web'});
  await bench.agent.allocate('10.99.0.0-24', 'docker');
  const stop = new AbortController();
  const self = {machine: uuidOf(1), address: '192.0.2.66', mtu: 1500, port: 4789};
  const errors: string[] = [];
  const refused = (refusal: OverlayError | undefined): void => {
    if (refusal !== undefined) bench.refusal = refusal;
    stop.abort();
  };
  const log = {...silent, error: (_fields: object, message: string) => void errors.push(message)};
  await keepAnnouncing(following(bench, {self: () => self, boot: 'a clone', refused, log}), stop.signal);
  t.regex(bench.refusal?.message ?? '', /is at 192\.0\.2\.1 and at 192\.0\.2\.66/);
  t.deepEqual(errors, ['the server refuses this host: it hands nothing out']);
  const answer = await bench.docker('IpamDriver.RequestAddress', {
    PoolID: 'hawser/10.99.0.0/24',
    Address: '',
  });
  t.regex(String(answer['Err']), /two machines run with one identity/);
  t.is(bench.memory.record().allocations.length, 1);
});

test('a network that was removed while containers are on it: they are counted, and the rest goes on', t => {
  const [web, db] = [network('10.99.0.0/24'), network('10.98.0.0/24', {vni: 0x10_00_01})];
  const record = {
    ...emptyRecord,
    allocations: ['10.99.0.2', '10.98.0.2', '10.98.0.3'].map((address, index) => ({
      network: address.startsWith('10.99') ? web.id : db.id,
      address,
      by: 'docker' as const,
      at: '2026-03-02T10:00:00Z',
      port: `hwp000000000${index}`,
    })),
  };
  t.deepEqual([...orphans(stateOf([web], [host(1)], []), record)], [[db.id, 2]]);
});

test('keys that somebody deleted in etcd: what is in use here is claimed again, what another got is left to it', async t => {
  const server = await allocatorBench(t, createMemoryStore());
  const [one, two] = [await agentBench(t, server, 1), await agentBench(t, server, 2)];
  const {id} = await one.agent.createNetwork({subnet: '10.99.0.0/24', name: 'web'});
  await two.agent.createNetwork({subnet: '10.99.0.0/24'});
  for (let left = 2; left > 0; left--) await one.agent.allocate(id, 'docker');
  await server.ask(1, 'leases/release', {network: id, block: '10.99.0.0/29'});
  one.memory.forget({network: id, block: '10.99.0.0/29'});
  await two.agent.allocate(id, 'docker', '10.99.0.3');
  t.is(unclaimed(one.memory.state(), one.memory.record()).length, 2);
  await claimAgain(following(one));
  t.deepEqual(
    unclaimed(one.memory.state(), one.memory.record()).map(({address}) => address),
    ['10.99.0.3'],
  );
  t.deepEqual(
    [...one.memory.state().leases.values()].map(({block}) => block),
    ['10.99.0.2/32'],
  );
});

test('a store that was lost is said again also by an agent that was killed meanwhile', async t => {
  const web = network('10.99.0.0/24', {name: 'web'});
  let kept: StoredState | undefined = stateOf([web], [host(1)], [lease(web, '10.99.0.0/29', 1)]).stored();
  const files = {
    loadRecord: () => Promise.resolve(emptyRecord),
    saveRecord: () => Promise.resolve(),
    loadState: () => Promise.resolve(kept),
    saveState: (state: StoredState) => Promise.resolve(void (kept = state)),
  };
  const clock = manualClock();
  const first = await openMemory(files, clock, silent, () => undefined);
  first.take({kind: 'all', epoch: 'other', revision: '2', items: []});
  await first.flush();
  const second = await openMemory(files, clock, silent, () => undefined);
  t.true(second.settling());
  t.is(second.lost()?.leases.size, 1);
  t.is(second.state().networks.get(web.id)?.name, 'web');
  second.take({
    kind: 'all',
    epoch: 'third',
    revision: '1',
    items: [{kind: 'hosts', key: uuidOf(2), value: host(2)}],
  });
  t.is(second.lost()?.leases.size, 1, 'lost once more');
  second.said(second.lost() ?? t.fail());
  clock.advance(60);
  t.false(second.settling());
  await second.flush();
  t.is(kept?.before, undefined);
});
