/**
 * Throughput and latency of a network of ours as a ratio to a bare VXLAN device, in turns, between two hosts in namespaces
 * of this machine. `node infra/labs/overlay/throughput.ts [ROUNDS]`
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {join} from 'node:path';
import {createInterface, type Interface} from 'node:readline';
import {exec} from '../../../services/common/exec.ts';
import {median, ratio} from '../../bench/statistics.ts';

const rounds = Number(process.argv[2] ?? '10');
const SECONDS = 2;
const ECHOES = 3000;
const here = import.meta.dirname;

interface Child {
  readonly process: ChildProcess;
  readonly lines: Interface;
}

const children: Child[] = [];

async function start(argv: readonly string[], ready: string): Promise<number> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, {stdio: ['pipe', 'pipe', 'inherit']});
  const lines = createInterface({input: child.stdout});
  children.push({process: child, lines});
  await waitFor(lines, ready);
  return child.pid ?? 0;
}

async function waitFor(lines: Interface, word: string): Promise<void> {
  for (;;) {
    const [line] = (await once(lines, 'line')) as [string];
    if (line === word) return;
  }
}

const hosts: number[] = [];
try {
  for (const number of [1, 2])
    hosts.push(
      await start(
        ['unshare', '--mount', '--net', process.execPath, join(here, 'host.ts'), String(number)],
        'ready',
      ),
    );
  const [one = 0, two = 0] = hosts;
  const up = children.map(({lines}) => waitFor(lines, 'up'));
  const cable = ['ip', 'link', 'add', 'eth0', 'netns', String(one), 'type', 'veth'];
  await exec([...cable, 'peer', 'name', 'eth0', 'netns', String(two)], {timeoutMs: 10_000});
  await Promise.all(up);
  const enter = (host: number, pod: string) => {
    const into = ['nsenter', '--target', String(host), '--mount', '--net', '--', 'ip', 'netns', 'exec', pod];
    return [...into, process.execPath, join(here, 'tcp.ts')];
  };
  const ways = {
    ours: {pod: 'pod', address: '10.99.0.33'},
    bare: {pod: 'bare', address: '10.1.0.2'},
  } as const;
  for (const {pod} of Object.values(ways)) await start([...enter(two, pod), 'serve', '5001'], 'ready');
  const measure = async (way: keyof typeof ways, ...args: string[]): Promise<number> => {
    const {pod, address} = ways[way];
    const [verb = '', ...rest] = args;
    return Number(
      (await exec([...enter(one, pod), verb, address, '5001', ...rest], {timeoutMs: 60_000})).stdout,
    );
  };
  const [rates, trips]: [number[], number[]] = [[], []];
  const all: Record<string, number[]> = {ours: [], bare: [], 'ours µs': [], 'bare µs': []};
  for (let round = 0; round < rounds; round++) {
    // In turns, and the order turned round each time: what else the machine does hits both.
    const order = round % 2 === 0 ? (['ours', 'bare'] as const) : (['bare', 'ours'] as const);
    const rate: Record<string, number> = {};
    const trip: Record<string, number> = {};
    for (const way of order) rate[way] = await measure(way, 'send', String(SECONDS));
    for (const way of order) trip[way] = await measure(way, 'echo', String(ECHOES));
    rates.push(ratio(rate['ours'], rate['bare']) ?? 0);
    trips.push(ratio(trip['ours'], trip['bare']) ?? 0);
    for (const way of order) {
      all[way]?.push(((rate[way] ?? 0) * 8) / 1e9);
      all[`${way} µs`]?.push(trip[way] ?? 0);
    }
  }
  for (const [what, values] of Object.entries(all))
    console.log(`${what}: median ${median(values)?.toFixed(2)}`);
  console.log(`throughput, ours to bare: median of ${rounds} ratios ${median(rates)?.toFixed(3)}`);
  console.log(`round trip, ours to bare: median of ${rounds} ratios ${median(trips)?.toFixed(3)}`);
} finally {
  for (const {process: child} of children.toReversed()) {
    child.stdin?.end();
    if (child.exitCode === null) await once(child, 'exit');
  }
}
