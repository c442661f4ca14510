/**
 * What the agent costs at rest, beside flanneld, in one run: two hosts of each on one bridge, each pair with a pod or a
 * lease; memory and CPU of both over the same minutes.
 * `node infra/labs/overlay/idle.ts --flanneld PATH [--minutes 2]`
 */
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {parseArgs} from 'node:util';
import {buildAgents} from '../../../image-build/steps/agents.ts';
import {exec} from '../../../services/common/exec.ts';
import {startLab} from '../../../test/cluster/support/lab.ts';
import {startOverlayLab, succeeds, until} from '../../../test/cluster/support/overlay-lab.ts';

const {values} = parseArgs({options: {flanneld: {type: 'string'}, minutes: {type: 'string', default: '2'}}});
if (values.flanneld === undefined)
  throw new Error('give --flanneld PATH: infra/labs/overlay/README.md says how it is built');
const root = join(import.meta.dirname, '../../..');

interface Cost {
  readonly cpuMs: number;
  readonly rssKb: number;
  /** Pages of its own alone. */
  readonly ownKb: number;
  /** Children that it waited for (`ip`, `nft`, `iptables`) count to its CPU. */
  readonly childrenMs: number;
}

async function costOf(pid: number): Promise<Cost> {
  const stat = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kb = (name: string) => Number(new RegExp(`^${name}: +(\\d+)`, 'm').exec(rollup)?.[1] ?? '0');
  const ticks = (from: number) => (Number(stat[from]) + Number(stat[from + 1])) * 10;
  return {
    cpuMs: ticks(11),
    childrenMs: ticks(13),
    rssKb: kb('Rss'),
    ownKb: kb('Private_Clean') + kb('Private_Dirty'),
  };
}

/** The process that runs this program, below one that entered namespaces for it. */
async function programBelow(pid: number, name: string): Promise<number> {
  for (let at = pid; ;) {
    const command = (await readFile(`/proc/${at}/comm`, 'utf8')).trim();
    if (command === name) return at;
    const [child] = (await readFile(`/proc/${at}/task/${at}/children`, 'utf8')).split(' ');
    if (child === undefined || child === '') throw new Error(`${name} is not below ${pid}`);
    at = Number(child);
  }
}

const lab = await startLab(['m1', 'm2', 'f1', 'f2'], 'none');
const folder = await mkdtemp(join(tmpdir(), 'hawser-idle-'));
const overlay = await startOverlayLab(lab);
const children: ChildProcess[] = [];
try {
  const bundles = await buildAgents(['overlay-agent'], root, folder, AbortSignal.timeout(60_000));
  const ours = lab.machines.slice(0, 2);
  const theirs = lab.machines.slice(2);
  await overlay.startServer();
  const [ourPids, theirPids]: [number[], number[]] = [[], []];
  for (const machine of ours) {
    const {pid} = await overlay.startAgent(machine, bundles['overlay-agent']);
    ourPids.push(await programBelow(pid, 'node'));
  }
  await overlay.hawser('net', 'create', 'web', '--subnet', '10.99.0.0/24');

  const url = 'http://10.86.0.1:2479';
  const start = (argv: readonly string[]): number => {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...argv], {stdio: ['ignore', 'ignore', 'ignore']});
    children.push(child);
    return child.pid ?? 0;
  };
  start([
    ...lab.enterHub,
    'etcd',
    '--data-dir',
    join(folder, 'etcd'),
    '--listen-client-urls',
    url,
    '--advertise-client-urls',
    url,
    '--listen-peer-urls',
    'http://10.86.0.1:2480',
    '--initial-advertise-peer-urls',
    'http://10.86.0.1:2480',
    '--initial-cluster',
    'default=http://10.86.0.1:2480',
    '--log-level',
    'fatal',
  ]);
  const config = JSON.stringify({Network: '10.5.0.0/16', Backend: {Type: 'vxlan', Port: 8472}});
  await until(
    () =>
      succeeds(
        exec(
          [...lab.enterHub, 'etcdctl', `--endpoints=${url}`, 'put', '/coreos.com/network/config', config],
          {
            timeoutMs: 10_000,
            env: {PATH: '/usr/bin:/bin', ETCDCTL_API: '3'},
          },
        ),
      ),
    () => 'etcd does not answer',
  );
  for (const machine of theirs) {
    const pid = start([
      ...machine.enter,
      values.flanneld,
      `-etcd-endpoints=${url}`,
      '-iface=eth0',
      '-ip-masq',
    ]);
    await until(
      () => succeeds(overlay.sh(machine, 'test -s /run/flannel/subnet.env')),
      () => `flanneld on ${machine.name} has no subnet`,
      60_000,
    );
    theirPids.push(await programBelow(pid, 'flanneld'));
  }
  const [first] = theirs;
  if (first === undefined) throw new Error('no machine is left for flanneld');
  await until(
    async () => (await overlay.sh(first, 'ip route')).includes('flannel.1'),
    () => 'flanneld made no route',
    60_000,
  );
  await delay(30_000);
  const minutes = Number(values.minutes);
  const measure = async (pids: readonly number[]) => Promise.all(pids.map(costOf));
  const before = {ours: await measure(ourPids), theirs: await measure(theirPids)};
  await delay(minutes * 60_000);
  const after = {ours: await measure(ourPids), theirs: await measure(theirPids)};
  for (const [name, whose] of [
    ['hawser', 'ours'],
    ['flanneld', 'theirs'],
  ] as const)
    for (const [index, cost] of after[whose].entries()) {
      const then = before[whose][index];
      const per = (what: 'cpuMs' | 'childrenMs') => ((cost[what] - (then?.[what] ?? 0)) / minutes).toFixed(0);
      console.log(
        `${name} ${index + 1}: resident ${(cost.rssKb / 1024).toFixed(1)} MB, its own ${(cost.ownKb / 1024).toFixed(1)} MB, CPU ${per('cpuMs')} ms a minute, of the programs it starts ${per('childrenMs')} ms a minute`,
      );
    }
} finally {
  for (const child of children.toReversed()) {
    const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
    child.kill('SIGKILL');
    await gone;
  }
  await overlay.close();
  await lab.close();
  await rm(folder, {recursive: true, force: true, maxRetries: 5});
}
