/** Desired against actual: what is planned, and what is left alone. */
import test from 'ava';
import {parseNamespace, type Actual, type ActualNamespace} from '../../services/overlay-agent/actual.ts';
import {freeAddresses, macOf, ownBlocks} from '../../services/overlay-agent/addresses.ts';
import {desiredNetworks, lostAddresses, tunnelMac} from '../../services/overlay-agent/desired.ts';
import {plan, type Step} from '../../services/overlay-agent/plan.ts';
import {emptyRecord, type AgentRecord, type Allocation} from '../../services/overlay-agent/record.ts';
import {formatAddress} from '../../services/common/ipv4.ts';
import {uuidOf} from '../update-server/support.ts';
import {host, lease, network, self, stateOf} from './support/builders.ts';

const web = network('10.99.0.0/24');
const state = stateOf(
  [web],
  [host(1), host(2, {mtu: 1400}), host(3)],
  [
    lease(web, '10.99.0.0/29', 1),
    lease(web, '10.99.0.8/29', 2),
    lease(web, '10.99.0.16/32', 3),
    lease(web, '10.99.0.24/29', 3, {released: '2026-03-02T10:00:00Z'}),
    lease(web, '10.99.0.32/29', 4),
  ],
);
const allocation = (address: string, over: Partial<Allocation> = {}): Allocation => ({
  network: web.id,
  address,
  by: 'docker',
  at: '2026-03-02T10:00:00Z',
  ...over,
});
const record: AgentRecord = {
  ...emptyRecord,
  allocations: [allocation('10.99.0.2', {endpoint: 'e', port: 'hwp0123456789'}), allocation('10.99.0.9')],
};
const none: Actual = {namespaces: new Map(), strays: []};
const lines = (steps: readonly Step[]) =>
  steps.flatMap(step => (!('lines' in step) ? [] : step.lines.map(line => `${step.tool} ${line}`)));

/** A namespace as the plan leaves it. */
const whole: ActualNamespace = {
  links: [
    {
      ifname: 'br0',
      mtu: 1350,
      address: '02:68:00:00:00:01',
      flags: ['UP'],
      linkinfo: {info_kind: 'bridge'},
      addr_info: [{local: '10.99.0.1', prefixlen: 32}],
    },
    {
      ifname: 'hwx100000',
      mtu: 1350,
      address: tunnelMac(self.machine),
      flags: ['UP'],
      linkinfo: {
        info_kind: 'vxlan',
        info_data: {id: 0x10_00_00, local: '192.0.2.1', port: 4789, learning: false},
      },
    },
    {ifname: 'hwp0123456789', mtu: 1350, flags: ['UP'], master: 'br0'},
  ],
  routes: [
    {dst: '10.99.0.0/29', dev: 'br0'},
    {dst: '10.99.0.8/29', dev: 'hwx100000', gateway: '192.0.2.2'},
    {dst: '10.99.0.16', dev: 'hwx100000', gateway: '192.0.2.3'},
  ],
  neighbours: [2, 3].map(number => ({
    dst: `192.0.2.${number}`,
    dev: 'hwx100000',
    lladdr: tunnelMac(uuidOf(number)),
    state: ['PERMANENT'],
  })),
  fdb: [2, 3].map(number => ({
    mac: tunnelMac(uuidOf(number)),
    ifname: 'hwx100000',
    dst: `192.0.2.${number}`,
    flags: ['self'],
  })),
};
const wanted = desiredNetworks(state, record, self);
const against = (over: Partial<ActualNamespace>) =>
  plan(wanted, {namespaces: new Map([['hawser-100000', {...whole, ...over}]]), strays: []});

test('routes to the blocks of hosts that are known, the MTU of the smallest of them', t => {
  const [one] = wanted;
  t.is(one?.mtu, 1350);
  t.deepEqual(
    [...(one?.routes ?? [])],
    [
      ['10.99.0.0/29', {device: 'br0'}],
      ['10.99.0.8/29', {device: 'hwx100000', via: '192.0.2.2'}],
      ['10.99.0.16', {device: 'hwx100000', via: '192.0.2.3'}],
    ],
  );
  t.deepEqual([...(one?.ports ?? [])], ['hwp0123456789']);
  t.deepEqual(lostAddresses(state, record, self.machine), ['10.99.0.9'], 'in a block of another machine');
});

test('from nothing, everything; the devices first, the routes last', t => {
  const {steps, drift} = plan(wanted, none);
  t.deepEqual(lines(steps), [
    'ip netns add hawser-100000',
    'ip netns set hawser-100000 auto',
    'ip link set lo up',
    'ip link add br0 address 02:68:00:00:00:01 mtu 1350 type bridge mcast_snooping 0',
    'ip link add hwx100000 address 02:00:00:00:00:01 mtu 1350 type vxlan id 1048576 dstport 4789 local 192.0.2.1 nolearning',
    'ip link set hwx100000 netns hawser-100000',
    'ip addr replace 10.99.0.1/32 dev br0',
    'ip link set br0 address 02:68:00:00:00:01 mtu 1350 up',
    'ip link set hwx100000 address 02:00:00:00:00:01 mtu 1350 up',
    'ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev hwx100000 nud permanent',
    'ip neigh replace 192.0.2.3 lladdr 02:00:00:00:00:03 dev hwx100000 nud permanent',
    'bridge fdb append 02:00:00:00:00:02 dev hwx100000 dst 192.0.2.2 self permanent',
    'bridge fdb append 02:00:00:00:00:03 dev hwx100000 dst 192.0.2.3 self permanent',
    'ip route replace 10.99.0.0/29 dev br0',
    'ip route replace 10.99.0.8/29 via 192.0.2.2 dev hwx100000 onlink',
    'ip route replace 10.99.0.16 via 192.0.2.3 dev hwx100000 onlink',
  ]);
  t.like(drift, {namespace: 1, device: 2, route: 3, neighbour: 2, fdb: 2, port: 0});
});

test('what is right is not touched', t => t.deepEqual(against({}).steps, []));

test('each thing that is missing, wrong or too much is put right by itself', t => {
  const [bridge = t.fail(), tunnel = t.fail(), port = t.fail()] = whole.links;
  const cases: readonly (readonly [string, Partial<ActualNamespace>, readonly string[]])[] = [
    ['a route', {routes: whole.routes.slice(1)}, ['ip route replace 10.99.0.0/29 dev br0']],
    [
      'a route to somewhere else',
      {routes: [...whole.routes, {dst: '10.0.0.0/8', dev: 'br0'}]},
      ['ip route del 10.0.0.0/8 dev br0'],
    ],
    [
      'an old MAC in the forwarding table',
      {
        fdb: [
          ...whole.fdb.slice(1),
          {mac: '02:00:00:00:00:99', ifname: 'hwx100000', dst: '192.0.2.2', flags: ['self']},
        ],
      },
      [
        'bridge fdb del 02:00:00:00:00:99 dev hwx100000 dst 192.0.2.2 self',
        'bridge fdb append 02:00:00:00:00:02 dev hwx100000 dst 192.0.2.2 self permanent',
      ],
    ],
    [
      'two places for one MAC',
      {
        fdb: [
          ...whole.fdb,
          {mac: '02:00:00:00:00:02', ifname: 'hwx100000', dst: '192.0.2.66', flags: ['self']},
        ],
      },
      ['bridge fdb del 02:00:00:00:00:02 dev hwx100000 dst 192.0.2.66 self'],
    ],
    [
      'a neighbour that is gone',
      {
        neighbours: [
          ...whole.neighbours,
          {dst: '192.0.2.66', dev: 'hwx100000', lladdr: 'x', state: ['PERMANENT']},
        ],
      },
      ['ip neigh del 192.0.2.66 dev hwx100000'],
    ],
    [
      'a port',
      {links: [bridge, tunnel, {ifname: port.ifname, mtu: port.mtu, flags: port.flags}]},
      ['ip link set hwp0123456789 master br0 mtu 1350 up'],
    ],
    [
      'a port of nobody',
      {links: [...whole.links, {...port, ifname: 'hwpffffffffff'}]},
      ['ip link set hwpffffffffff nomaster down'],
    ],
    [
      'a MAC that somebody changed',
      {links: [bridge, {...tunnel, address: '02:ff:ff:ff:ff:ff'}, port]},
      ['ip link set hwx100000 address 02:00:00:00:00:01 mtu 1350 up'],
    ],
  ];
  for (const [what, over, expected] of cases) t.deepEqual(lines(against(over).steps), expected, what);
});

test('a tunnel to another port is made anew, with all that leads into it', t => {
  const [bridge = t.fail(), tunnel = t.fail(), port = t.fail()] = whole.links;
  const info = {info_kind: 'vxlan', info_data: {...tunnel.linkinfo?.info_data, port: 8472}};
  const planned = lines(against({links: [bridge, {...tunnel, linkinfo: info}, port]}).steps);
  t.is(planned[0], 'ip link del hwx100000');
  t.is(planned.filter(line => line.startsWith('ip route replace')).length, 2);
  t.is(planned.filter(line => line.startsWith('bridge fdb append')).length, 2);
});

test('namespaces of networks that are gone go; nothing else does', t => {
  const {steps} = plan([], {namespaces: new Map([['hawser-00000a', whole]]), strays: ['hwx00000a']});
  t.deepEqual(lines(steps), ['ip netns del hawser-00000a', 'ip link del hwx00000a']);
});

test('output of ip and bridge: rows of the kernel and empty objects are passed by, nonsense is an error', t => {
  const ip = [
    '[{},{"ifname":"br0","flags":["UP"],"mtu":1450}]',
    '[{"dst":"10.0.0.0/8","dev":"br0","protocol":"kernel","flags":[]},{"dst":"10.1.0.0/16","dev":"br0","flags":[]}]',
    '[{"dst":"10.0.0.1","dev":"br0","state":["STALE"]},{"dst":"10.0.0.2","dev":"x","lladdr":"a","state":["PERMANENT"]}]',
  ].join('\n');
  const read = parseNamespace(
    ip,
    '[{"mac":"a","ifname":"x","flags":[]},{"mac":"b","ifname":"x","dst":"1.2.3.4","flags":["self"]}]',
  );
  t.is(read.links.length, 1);
  t.deepEqual(
    read.routes.map(({dst}) => dst),
    ['10.1.0.0/16'],
  );
  t.deepEqual(
    read.neighbours.map(({dst}) => dst),
    ['10.0.0.2'],
  );
  t.deepEqual(
    read.fdb.map(({mac}) => mac),
    ['b'],
  );
  t.throws(() => parseNamespace('[{"ifname":7}]', '[]'), {message: /ip addr/});
});

test('an address rests for as long as it can, reserved ones are left out', t => {
  const reserving = {...web, reserved: ['10.99.0.4/31']};
  const own = ownBlocks(state, web.id, self.machine);
  const free = (last: number | undefined) =>
    freeAddresses(reserving, own, record, last).map(each => formatAddress(each).split('.')[3]);
  t.deepEqual(free(undefined), ['3', '6', '7']);
  t.deepEqual(free((10 << 24) + (99 << 16) + 3), ['6', '7', '3']);
  t.is(macOf('10.99.0.255'), '02:68:0a:63:00:ff');
});
