/**
 * Packets lost while agents and server are killed, stopped, replaced and away: a stream of UDP from a pod on one host to a
 * pod on another, counted by the kernel of the one that receives.
 * `node infra/labs/overlay/loss.ts [--rate 20000] [--seconds 30] [--away-minutes 0]`
 */
import {parseArgs} from 'node:util';
import {setTimeout as delay} from 'node:timers/promises';
import {exec} from '../../../services/common/exec.ts';
import {startLab, type LabMachine} from '../../../test/cluster/support/lab.ts';
import {
  startOverlayLab,
  succeeds,
  until,
  type OverlayLab,
  type Running,
} from '../../../test/cluster/support/overlay-lab.ts';
import {cniPlugin} from './pods.ts';

const {values} = parseArgs({
  options: {
    rate: {type: 'string', default: '20000'},
    seconds: {type: 'string', default: '30'},
    /** Agents and server away all that long; the stream lasts for as long and `seconds`. */
    'away-minutes': {type: 'string', default: '0'},
  },
});
const [rate, away] = [Number(values.rate), Number(values['away-minutes']) * 60];
const seconds = Number(values.seconds) + away;
const port = 9;

async function pod({sh}: OverlayLab, machine: LabMachine, name: string): Promise<string> {
  await sh(machine, `ip netns add ${name} && ip -n ${name} link set lo up`);
  const config = JSON.stringify({cniVersion: '1.1.0', name: 'web', type: 'hawser'});
  const env = `CNI_COMMAND=ADD CNI_CONTAINERID=${name} CNI_NETNS=/run/netns/${name} CNI_IFNAME=eth0`;
  const result = JSON.parse(await sh(machine, `echo '${config}' | env ${env} ${cniPlugin}`)) as {
    ips: {address: string}[];
  };
  return result.ips[0]?.address.split('/')[0] ?? '';
}

const lab = await startLab(['m1', 'm2'], 'none');
const overlay = await startOverlayLab(lab);
try {
  const [m1, m2] = lab.machines;
  if (m1 === undefined || m2 === undefined) throw new Error('machines are missing');
  let server = await overlay.startServer();
  const agents = new Map<LabMachine, Running>();
  for (const machine of [m1, m2]) agents.set(machine, await overlay.startAgent(machine));
  await overlay.hawser('net', 'create', 'web', '--subnet', '10.99.0.0/24');
  for (const machine of [m1, m2])
    await until(
      () =>
        succeeds(
          overlay.sh(
            machine,
            `echo '{"cniVersion":"1.1.0","name":"web"}' | env CNI_COMMAND=STATUS ${cniPlugin}`,
          ),
        ),
      () => `${machine.name} does not know the network`,
    );
  await pod(overlay, m1, 'one');
  const to = await pod(overlay, m2, 'two');
  await until(
    () => succeeds(overlay.sh(m1, `ip netns exec one busybox ping -c 1 -W 1 ${to}`)),
    () => `${to} is not reached`,
  );
  const rules = `add table inet lab
add chain inet lab input { type filter hook input priority 0; }
add rule inet lab input udp dport ${port} counter drop`;
  await overlay.sh(m2, `echo '${rules}' | ip netns exec two nft -f -`);
  const argv = [
    process.execPath,
    `${import.meta.dirname}/udp.ts`,
    to,
    String(port),
    String(rate),
    String(seconds),
  ];
  const stream = exec([...m1.enter, 'ip', 'netns', 'exec', 'one', ...argv], {
    timeoutMs: (seconds + 120) * 1000,
  });
  const events: string[] = [];
  const did = (what: string): void => void events.push(what);
  await delay(1000);
  for (const [machine, signal] of [
    [m1, 'SIGKILL'],
    [m2, 'SIGKILL'],
    [m1, 'SIGTERM'],
    [m2, 'SIGTERM'],
  ] as const) {
    await agents.get(machine)?.kill(signal);
    await delay(500);
    agents.set(machine, await overlay.startAgent(machine));
    did(`agent of ${machine.name} ${signal}`);
  }
  for (const machine of [m1, m2]) await agents.get(machine)?.kill('SIGTERM');
  await server.kill('SIGTERM');
  await delay(Math.max(1000, away * 1000));
  server = await overlay.startServer();
  for (const machine of [m1, m2]) agents.set(machine, await overlay.startAgent(machine));
  did(`both agents and the server with its etcd away for ${Math.max(1, away)} s`);
  const sent = Number((await stream).stdout);
  const counter = await overlay.sh(m2, 'ip netns exec two nft list chain inet lab input');
  const received = Number(/counter packets (\d+)/.exec(counter)?.[1] ?? '0');
  for (const event of events) console.log(event);
  console.log(`${sent} packets sent (${Math.round(sent / seconds)} a second), ${sent - received} lost`);
  process.exitCode = sent === received && sent > 0 ? 0 : 1;
} finally {
  await overlay.close();
  await lab.close();
}
