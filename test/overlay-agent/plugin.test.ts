/** Docker's calls, as dockerd makes them and as it should not. */
import test from 'ava';
import {createMemoryStore} from '../../services/overlay-allocator/adapters/memory-store.ts';
import {allocatorBench} from '../overlay-allocator/support.ts';
import {agentBench, type AgentBench} from './support/agent-bench.ts';

const id = (letter: string) => letter.repeat(64);
const pool = {PoolID: 'hawser/10.99.0.0/24'};

async function create({docker}: AgentBench, over: object = {}, options: object = {}) {
  return docker('NetworkDriver.CreateNetwork', {
    NetworkID: id('a'),
    Options: {'com.docker.network.enable_ipv6': false, 'com.docker.network.generic': {}, ...options},
    IPv4Data: [
      {AddressSpace: 'hawser', Pool: '10.99.0.0/24', Gateway: '10.99.0.1/24', AuxAddresses: null, ...over},
    ],
    IPv6Data: [],
  });
}

test('a network, a container on it, and all of it away again', async t => {
  const server = await allocatorBench(t, createMemoryStore());
  const bench = await agentBench(t, server, 1);
  const {docker, kernel} = bench;
  t.deepEqual(await docker('Plugin.Activate'), {Implements: ['NetworkDriver', 'IpamDriver']});
  t.deepEqual(await docker('NetworkDriver.GetCapabilities'), {Scope: 'local', ConnectivityScope: 'global'});
  const spaces = await docker('IpamDriver.GetDefaultAddressSpaces');
  t.is(spaces['LocalDefaultAddressSpace'], spaces['GlobalDefaultAddressSpace']);
  t.like(
    await docker('IpamDriver.RequestPool', {
      AddressSpace: 'hawser',
      Pool: '10.99.0.0/24',
      SubPool: '',
      V6: false,
    }),
    {
      ...pool,
      Pool: '10.99.0.0/24',
    },
  );
  const gateway = {...pool, Address: '', Options: {RequestAddressType: 'com.docker.network.gateway'}};
  t.like(await docker('IpamDriver.RequestAddress', gateway), {Address: '10.99.0.1/24'});
  t.deepEqual(await create(bench), {});
  t.like(await docker('IpamDriver.RequestAddress', {...pool, Address: '', Options: {}}), {
    Address: '10.99.0.2/24',
  });
  const ids = {NetworkID: id('a'), EndpointID: id('e')};
  t.deepEqual(
    await docker('NetworkDriver.CreateEndpoint', {
      ...ids,
      Interface: {Address: '10.99.0.2/24', MacAddress: ''},
    }),
    {Interface: {MacAddress: '02:68:0a:63:00:02'}},
  );
  t.deepEqual(await docker('NetworkDriver.EndpointOperInfo', ids), {Value: {}});
  t.like(await docker('NetworkDriver.Join', {...ids, SandboxKey: '/var/run/docker/netns/x', Options: {}}), {
    InterfaceName: {SrcName: 'hwceeeeeeeeee', DstPrefix: 'eth'},
  });
  t.deepEqual(kernel.splice(0), ['add hawser-100000 hwpeeeeeeeeee hwceeeeeeeeee 02:68:0a:63:00:02 1450']);
  for (const call of [
    'ProgramExternalConnectivity',
    'RevokeExternalConnectivity',
    'Leave',
    'Leave',
    'DeleteEndpoint',
    'DeleteEndpoint',
  ])
    t.deepEqual(await docker(`NetworkDriver.${call}`, ids), {}, call);
  t.deepEqual(kernel, ['remove hawser-100000 hwpeeeeeeeeee']);
  for (let twice = 0; twice < 2; twice++)
    t.deepEqual(await docker('IpamDriver.ReleaseAddress', {...pool, Address: '10.99.0.2'}), {});
  t.deepEqual(bench.memory.record().allocations, []);
  t.deepEqual(await docker('NetworkDriver.DeleteNetwork', {NetworkID: id('a')}), {});
  t.deepEqual(await docker('NetworkDriver.DeleteNetwork', {NetworkID: id('a')}), {});
  t.deepEqual(await docker('IpamDriver.ReleasePool', pool), {});
  t.is((await server.claim(1, '10.99.0.0-24')).status, 404, 'gone in the cluster');
});

test('what cannot be is refused under both names, with the remedy, and changes nothing', async t => {
  const server = await allocatorBench(t, createMemoryStore());
  const bench = await agentBench(t, server, 1);
  const {docker} = bench;
  const refused = async (answer: Promise<Record<string, unknown>>, pattern: RegExp) => {
    const {Err, Error: error} = await answer;
    t.regex(String(Err), pattern);
    t.is(error, Err);
  };
  await refused(create(bench, {AddressSpace: 'LocalDefault'}), /--ipam-driver hawser/);
  await refused(docker('IpamDriver.RequestPool', {Pool: ''}), /--subnet/);
  await refused(
    docker('IpamDriver.RequestPool', {Pool: '10.99.0.0/24', SubPool: '10.99.0.0/25'}),
    /--ip-range/,
  );
  await refused(docker('IpamDriver.RequestPool', {Pool: 'fd00::/64', V6: true}), /IPv4/);
  await refused(docker('IpamDriver.RequestPool', {Pool: '10.99.0.1/24'}), /10\.99\.0\.1\/24/);
  await refused(docker('NetworkDriver.AllocateNetwork', {NetworkID: 'x'}), /Swarm/);
  await refused(docker('NetworkDriver.CreateNetwork', '{"NetworkID": 7}'), /NetworkID/);
  await refused(docker('NetworkDriver.CreateNetwork', '{'), /not JSON/);
  await refused(docker('NetworkDriver.CreateNetwork'), /NetworkID/);
  await refused(
    docker('NetworkDriver.CreateEndpoint', {NetworkID: id('f'), EndpointID: id('e')}),
    /does not know/,
  );
  await refused(docker('NetworkDriver.Join', {NetworkID: id('a'), EndpointID: id('e')}), /no endpoint/);
  t.is((await bench.plugin.inject({method: 'POST', url: '/NetworkDriver.Unheard'})).statusCode, 404);
  t.deepEqual(bench.memory.record().docker, {});

  t.deepEqual(await create(bench), {});
  await refused(docker('IpamDriver.RequestAddress', {...pool, Address: '10.99.0.255'}), /10\.99\.0\.255/);
  await docker('IpamDriver.RequestAddress', {...pool, Address: '10.99.0.77'});
  await refused(docker('IpamDriver.RequestAddress', {...pool, Address: '10.99.0.77'}), /in use on this host/);
  const other = await agentBench(t, server, 2);
  t.deepEqual(await create(other), {}, 'the same subnet is the same network');
  await refused(
    other.docker('IpamDriver.RequestAddress', {...pool, Address: '10.99.0.77'}),
    /belongs to machine m1/,
  );
  await refused(
    other.docker('NetworkDriver.CreateNetwork', {
      NetworkID: id('b'),
      IPv4Data: [{AddressSpace: 'hawser', Pool: '10.99.0.128/25'}],
    }),
    /overlaps 10\.99\.0\.0\/24/,
  );
  const ids = {NetworkID: id('a'), EndpointID: id('e')};
  await refused(
    docker('NetworkDriver.CreateEndpoint', {...ids, Interface: {Address: '10.99.0.5/24'}}),
    /not handed out/,
  );
});

test('while the server is away, containers get addresses of the blocks held here, and no more than those', async t => {
  const server = await allocatorBench(t, createMemoryStore());
  const bench = await agentBench(t, server, 1);
  await create(bench);
  const next = () => bench.docker('IpamDriver.RequestAddress', {...pool, Address: ''});
  t.like(await next(), {Address: '10.99.0.2/24'});
  bench.away = true;
  const got: unknown[] = [];
  for (;;) {
    const {Address: address, Err: error} = await next();
    if (address === undefined) {
      t.regex(String(error), /does not answer/);
      break;
    }
    got.push(address);
  }
  t.is(got.length, 5);
  bench.away = false;
  t.like(await next(), {Address: '10.99.0.8/24'});
  await bench.docker('IpamDriver.ReleaseAddress', {...pool, Address: '10.99.0.3'});
  t.like(await next(), {Address: '10.99.0.9/24'}, 'what was given back rests');
});

test('what Docker undoes of our own making is not undone for the cluster', async t => {
  const server = await allocatorBench(t, createMemoryStore());
  const bench = await agentBench(t, server, 1);
  await create(bench);
  bench.mirroring.add('10.99.0.0-24');
  t.deepEqual(await bench.docker('NetworkDriver.DeleteNetwork', {NetworkID: id('a')}), {});
  t.is((await server.claim(1, '10.99.0.0-24')).status, 200);
  t.deepEqual(bench.memory.record().docker, {});
});

test('a network with containers elsewhere is not removed', async t => {
  const server = await allocatorBench(t, createMemoryStore());
  const [one, two] = [await agentBench(t, server, 1), await agentBench(t, server, 2)];
  await create(one);
  await create(two);
  await two.docker('IpamDriver.RequestAddress', {...pool, Address: ''});
  const address = two.memory.record().allocations[0]?.address;
  await server.ask(2, 'endpoints', {network: '10.99.0.0-24', endpoints: [{address, names: ['b']}]});
  const refused = await one.docker('NetworkDriver.DeleteNetwork', {NetworkID: id('a')});
  t.regex(String(refused['Err']), /m2 \(1\)/);
  t.true(one.memory.state().networks.has('10.99.0.0-24'));
});
