/** Two hosts without Docker: the real server with its etcd, the real agents, real VXLAN, pods by CNI. */
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {labProblem, startLab, type LabMachine} from '../cluster/support/lab.ts';
import {startOverlayLab, until} from '../cluster/support/overlay-lab.ts';

const plugin = join(import.meta.dirname, '../../image-build/files/usr/lib/cni/hawser');
const problem = await labProblem();
const run = problem === undefined ? test.serial : test.serial.skip;
if (problem !== undefined) test.serial(`two hosts: ${problem}`, t => t.log('SKIPPED', problem));

run(
  'pods reach each other; what is taken away comes back; not a packet is lost while agents and server are away',
  async t => {
    t.timeout(240_000);
    const lab = await startLab(['m1', 'm2'], 'none');
    const overlay = await startOverlayLab(lab);
    t.teardown(async () => {
      await overlay.close();
      await lab.close();
    });
    const [m1, m2] = lab.machines;
    if (m1 === undefined || m2 === undefined) throw new Error('machines are missing');
    let server = await overlay.startServer();
    const agents = new Map([
      ['m1', await overlay.startAgent(m1)],
      ['m2', await overlay.startAgent(m2)],
    ]);
    t.teardown(() => {
      for (const [name, {log}] of agents) if (!t.passed) t.log(name, log());
    });
    const {sh} = overlay;
    const add = async (machine: LabMachine, pod: string, network: string): Promise<string> => {
      await sh(machine, `ip netns add ${pod} && ip -n ${pod} link set lo up`);
      const env = `CNI_COMMAND=ADD CNI_CONTAINERID=${pod} CNI_NETNS=/run/netns/${pod} CNI_IFNAME=eth0`;
      const config = JSON.stringify({cniVersion: '1.0.0', name: network, type: 'hawser'});
      const result = JSON.parse(await sh(machine, `echo '${config}' | env ${env} ${plugin}`)) as {
        ips: {address: string}[];
      };
      return result.ips[0]?.address.split('/')[0] ?? '';
    };
    const pings = (pod: string, address: string) =>
      sh(m1, `ip netns exec ${pod} busybox ping -c 1 -W 1 ${address}`).then(
        () => true,
        () => false,
      );
    const status = async (machine: LabMachine, network: string) => {
      const config = JSON.stringify({cniVersion: '1.1.0', name: network, type: 'hawser'});
      return sh(machine, `echo '${config}' | env CNI_COMMAND=STATUS ${plugin}`).then(
        () => true,
        () => false,
      );
    };

    await overlay.hawser('net', 'create', 'web', '--subnet', '10.99.0.0/24');
    await overlay.hawser('net', 'create', 'db', '--subnet', '10.98.0.0/24');
    for (const machine of [m1, m2])
      await until(
        async () => (await status(machine, 'web')) && (await status(machine, 'db')),
        () => `${machine.name} does not know the networks`,
      );
    const [one, two, other] = [
      await add(m1, 'one', 'web'),
      await add(m2, 'two', 'web'),
      await add(m1, 'other', 'db'),
    ];
    t.is(new Set([one, two, other]).size, 3);
    const first = await until(
      () => pings('one', two),
      () => `${one} does not reach ${two}`,
    );
    t.log(`first packet after ${first} ms`);
    t.false(await pings('other', two), 'another network, another host');
    t.false(await pings('other', one), 'another network, the same host');
    t.regex(await overlay.hawser('net', 'check'), /nothing is wrong/);

    const flood = sh(m1, `ip netns exec one busybox ping -i 0.002 -c 4000 -W 1 -q ${two}`, 120_000);
    await delay(200);
    await agents.get('m1')?.kill();
    await agents.get('m2')?.kill('SIGTERM');
    await server.kill('SIGTERM');
    await delay(500);
    for (const machine of [m1, m2]) agents.set(machine.name, await overlay.startAgent(machine));
    server = await overlay.startServer();
    t.regex(await flood, /4000 packets transmitted, 4000 packets received, 0% packet loss/);

    const namespace = (await sh(m1, 'ls -t /run/netns'))
      .split('\n')
      .filter(name => name.startsWith('hawser-'));
    t.is(namespace.length, 2);
    for (const [what, lines] of [
      ['routes', namespace.map(name => `ip -n ${name} route flush table main`)],
      ['tunnels', namespace.map(name => `ip -n ${name} link del ${name.replace('hawser-', 'hwx')}`)],
      ['bridges', namespace.map(name => `ip -n ${name} link del br0`)],
      ['neighbours', namespace.map(name => `ip -n ${name} neigh flush nud permanent`)],
    ] as const) {
      const began = performance.now();
      await sh(m1, lines.join('; '));
      await until(
        () => pings('one', two),
        () => `${what} are not put back`,
      );
      t.log(`${what}: reached again after ${Math.round(performance.now() - began)} ms`);
    }
  },
);
