/** Runs inside namespaces of its own (`unshare --mount --net`): brings up networks, breaks them, and says what came of it. */
import {setTimeout as delay} from 'node:timers/promises';
import {exec} from '../../../services/common/exec.ts';
import {kernelDataplane} from '../../../services/overlay-agent/adapters/kernel.ts';
import {desiredFirewall, desiredNetworks} from '../../../services/overlay-agent/desired.ts';
import {plan} from '../../../services/overlay-agent/plan.ts';
import {emptyRecord, type AgentRecord} from '../../../services/overlay-agent/record.ts';
import {host, lease, network, self, stateOf} from './builders.ts';

const kernel = kernelDataplane();
const env = {PATH: '/usr/sbin:/usr/bin:/sbin:/bin'};
const run = (line: string) => exec(line.split(' '), {timeoutMs: 10_000, env});
await run('mount --make-rprivate /');
await run('mount -t tmpfs tmpfs /run');
await run('ip link set lo up');

const [web, db] = [network('10.99.0.0/24'), network('10.98.0.0/24', {vni: 0x10_00_01})];
const state = stateOf(
  [web, db],
  [host(1), host(2)],
  [lease(web, '10.99.0.0/29', 1), lease(web, '10.99.0.8/29', 2), lease(db, '10.98.0.0/29', 2)],
);
const port = 'hwp0123456789';
const record: AgentRecord = {
  ...emptyRecord,
  allocations: [
    {network: web.id, address: '10.99.0.2', by: 'docker', at: '2026-03-02T10:00:00Z', endpoint: 'e', port},
  ],
};
const firewall = desiredFirewall(state, self);
const wanted = desiredNetworks(state, record, self);
/** Rounds until nothing is left to do, and what the kernel refused. */
const settle = async () => {
  const failures: string[] = [];
  for (let rounds = 0; rounds < 5; rounds++) {
    const {steps} = plan(wanted, await kernel.read(), firewall);
    if (steps.length === 0) return {rounds, failures};
    failures.push(...(await kernel.apply(steps)));
  }
  return {rounds: 5, failures};
};

/** `ip netns del` returns before the kernel has taken the namespace apart; until then the VNI of its tunnel is taken. */
const isApart = async ({vni, port: udp}: {vni: number; port: number}) => {
  const probe = ['ip', 'link', 'add', 'probe', 'type', 'vxlan', 'id', String(vni), 'dstport', String(udp)];
  for (let attempt = 0; attempt < 500; attempt++) {
    const {code} = await exec(probe, {timeoutMs: 10_000, okCodes: [0, 2], env});
    if (code === 0) return run('ip link del probe');
    await delay(20);
  }
  throw new Error(`VNI ${vni} stays taken`);
};

const results: Record<string, unknown> = {};
await run('ip netns add stranger');
results['first'] = await settle();
await kernel.addPort({
  namespace: 'hawser-100000',
  port,
  inside: 'hwc0123456789',
  mac: '02:68:0a:63:00:02',
  mtu: 1450,
});
results['with a port'] = await settle();
const inside = 'ip -n hawser-100000';
for (const line of [
  `${inside} route del 10.99.0.8/29`,
  `${inside} neigh del 192.0.2.2 dev hwx100000`,
  'bridge -n hawser-100000 fdb del 02:00:00:00:00:02 dev hwx100000 dst 192.0.2.2 self',
  `${inside} link set hwx100000 down`,
  `${inside} link set br0 mtu 900`,
  `${inside} addr del 10.99.0.1/32 dev br0`,
  `${inside} link set ${port} nomaster`,
  `${inside} link del hwx100000`,
  `${inside} link del br0`,
  'ip netns del hawser-100001',
  'nft flush chain inet hawser_overlay input',
  'nft add element inet hawser_overlay peers { 192.0.2.66 }',
  'nft delete table inet hawser_overlay',
]) {
  await run(line);
  if (line.startsWith('ip netns del')) await isApart({vni: db.vni, port: self.port});
  results[line] = await settle();
}
await kernel.removePort('hawser-100000', port);
await kernel.removePort('hawser-100000', port);
await kernel.apply(plan([], await kernel.read()).steps);
results['namespaces at the end'] = (await run('ip netns list')).stdout.trim();
process.stdout.write(JSON.stringify(results));
