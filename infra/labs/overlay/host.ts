/**
 * One of two hosts, in namespaces of its own: a network of ours with a pod on it, and beside it a bare VXLAN device in a pod
 * of its own. `host.ts NUMBER`; ends with its input.
 */
import {exec} from '../../../services/common/exec.ts';
import {containerNamespaces} from '../../../services/overlay-agent/adapters/containers.ts';
import {kernelDataplane} from '../../../services/overlay-agent/adapters/kernel.ts';
import {desiredNetworks, namespaceOf} from '../../../services/overlay-agent/desired.ts';
import {plan} from '../../../services/overlay-agent/plan.ts';
import {emptyRecord} from '../../../services/overlay-agent/record.ts';
import {FollowedState} from '../../../services/overlay-agent/state.ts';

const number = Number(process.argv[2]);
const other = 3 - number;
const uuid = (of: number) => `00000000-0000-4000-8000-00000000000${of}`;
const run = (line: string) => exec(line.split(' '), {timeoutMs: 10_000});
const time = '2026-03-02T10:00:00Z';

await run('mount --make-rprivate /');
await run('mount -t tmpfs tmpfs /run');
await run('ip link set lo up');
console.log('ready');
// The cable is plugged in from outside.
for (;;) {
  const found = await run('ip addr add 192.0.2.' + number + '/24 dev eth0').catch(() => undefined);
  if (found !== undefined) break;
}
await run('ip link set eth0 up');

const network = {
  schema: 1,
  id: '10.99.0.0-24',
  vni: 0x10_00_00,
  subnet: '10.99.0.0/24',
  gateway: '10.99.0.1',
  reserved: [],
  labels: {},
  internal: false,
  createdAt: time,
  createdBy: 'lab',
} as const;
const state = FollowedState.of({
  schema: 1,
  epoch: 'e',
  revision: '1',
  networks: [{...network, reserved: []}],
  hosts: [1, 2].map(of => ({
    schema: 1,
    machine: uuid(of),
    name: `h${of}`,
    address: `192.0.2.${of}`,
    mtu: 1500,
  })),
  leases: [1, 2].map(of => ({
    schema: 1,
    network: network.id,
    block: `10.99.0.${of * 16}/28`,
    machine: uuid(of),
    since: time,
  })),
  endpoints: [],
});
const kernel = kernelDataplane();
const self = {machine: uuid(number), address: `192.0.2.${number}`, mtu: 1500, port: 4789};
const address = `10.99.0.${number * 16 + 1}`;
const port = 'hwp0123456789';
const record = {
  ...emptyRecord,
  allocations: [{network: network.id, address, by: 'cni' as const, at: time, endpoint: 'e', port}],
};
await kernel.apply(plan(desiredNetworks(state, record, self), await kernel.read()).steps);
await run('ip netns add pod');
const inside = 'hwc0123456789';
await kernel.addPort({
  namespace: namespaceOf(network.vni),
  port,
  inside,
  mac: `02:68:0a:63:00:0${number}`,
  mtu: 1450,
});
await containerNamespaces().adopt('/run/netns/pod', inside, 'eth0', `${address}/24`);

// The measure: the same kernel's VXLAN with one peer, and nothing around it.
await run('ip netns add bare');
await run(
  `ip link add vx0 mtu 1450 type vxlan id 5 dstport 8472 local 192.0.2.${number} remote 192.0.2.${other} nolearning`,
);
await run('ip link set vx0 netns bare');
await run(`ip -n bare addr add 10.1.0.${number}/24 dev vx0`);
await run('ip -n bare link set vx0 up');
console.log('up');
process.stdin.resume().on('end', () => process.exit(0));
