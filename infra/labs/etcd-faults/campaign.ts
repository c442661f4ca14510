/** One run: three members of etcd, two lock servers, machines, faults; then the history, and the checker's word. */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {exec} from '../../../services/common/exec.ts';
import {check, type Verdict} from './checker.ts';
import {inflictFaults, mendAll, type FaultCounts, type Targets} from './faults.ts';
import type {History, MachineRecord, Write} from './history.ts';
import {createNetwork, type Network} from './network.ts';
import {nodeProcess, type NodeProcess} from './node-process.ts';
import {createRandom} from '../random.ts';

export interface CampaignOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly machines: number;
  readonly slots: number;
  /** Servers that write without comparing: the checker must find what comes of it. */
  readonly breakCompare: boolean;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface CampaignResult {
  readonly verdict: Verdict;
  readonly history: History;
  readonly faults: FaultCounts;
}

const MEMBERS = ['e1', 'e2', 'e3'];
const SERVERS = ['s1', 's2'];
const SETTLE_MS = 60_000;

/** Needs root. Leaves nothing behind, whatever happens. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const network = await createNetwork(`hwl${process.pid}`, [...MEMBERS, ...SERVERS, 'm']);
  const folder = await mkdtemp(join(tmpdir(), 'hawser-etcd-faults-'));
  const started: NodeProcess[] = [];
  try {
    return await run(options, network, folder, started);
  } finally {
    for (const each of started) each.resume();
    for (const each of started) await each.kill();
    await network.remove();
    await rm(folder, {recursive: true, force: true});
  }
}

async function run(
  options: CampaignOptions,
  network: Network,
  folder: string,
  started: NodeProcess[],
): Promise<CampaignResult> {
  const {seed, seconds, slots, log, signal} = options;
  const records: MachineRecord[] = [];
  const urls = MEMBERS.map(name => `http://${network.address(name)}:2379`).join(',');
  const launch = (node: string, argv: readonly string[], onLine: (line: string) => void) => {
    const process = nodeProcess(node, network.on(node, argv), onLine);
    started.push(process);
    process.start();
    return process;
  };
  const script = (name: string, ...args: string[]) => [
    process.execPath,
    join(import.meta.dirname, name),
    ...args,
  ];

  const etcd = MEMBERS.map(name => launch(name, etcdArguments(name, network, folder), () => undefined));
  await waitForEtcd(network, urls, signal);
  const extra = options.breakCompare ? ['--break-compare'] : [];
  const servers = SERVERS.map(name => {
    const argv = script(
      'lock-server.ts',
      network.address(name),
      urls,
      `${slots}`,
      `${options.machines}`,
      ...extra,
    );
    return launch(name, argv, () => undefined);
  });
  const addresses = SERVERS.map(name => network.address(name)).join(',');
  const argv = script('machines.ts', `${options.machines}`, `${seed}`, addresses);
  const machines = launch('m', argv, line => void records.push(JSON.parse(line) as MachineRecord));
  await firstUpdate(records, signal);

  const targets: Targets = {network, etcd, servers, machines, machineCount: options.machines};
  const until = Date.now() + seconds * 1000;
  const faults = await inflictFaults(targets, createRandom(seed), until, signal, log);
  signal.throwIfAborted();
  await mendAll(targets);
  log('all mended; machines finish what they began');
  machines.tell('stop');
  const code = await Promise.race([machines.ended(), delay(SETTLE_MS, 'late' as const, {ref: false})]);
  if (code !== 0) log(code === 'late' ? 'machines did not finish in time' : `machines ended with ${code}`);

  const collected = await exec(network.on('m', script('collect.ts', urls)), {timeoutMs: 60_000, signal});
  const writes = collected.stdout
    .trim()
    .split('\n')
    .filter(line => line !== '');
  const history: History = {slots, records, writes: writes.map(line => JSON.parse(line) as Write)};
  return {verdict: check(history), history, faults};
}

function etcdArguments(name: string, network: Network, folder: string): string[] {
  const url = (node: string, port: number) => `http://${network.address(node)}:${port}`;
  const flags = {
    name,
    'data-dir': join(folder, name),
    'log-level': 'error',
    'listen-client-urls': url(name, 2379),
    'advertise-client-urls': url(name, 2379),
    'listen-peer-urls': url(name, 2380),
    'initial-advertise-peer-urls': url(name, 2380),
    'initial-cluster': MEMBERS.map(member => `${member}=${url(member, 2380)}`).join(','),
    // Slower than the defaults: the members share two cores with everything else.
    'heartbeat-interval': '200',
    'election-timeout': '2000',
  };
  return ['etcd', ...Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value])];
}

async function waitForEtcd(network: Network, urls: string, signal: AbortSignal): Promise<void> {
  const argv = network.on('m', ['etcdctl', '--endpoints', urls, 'endpoint', 'health']);
  for (let attempt = 0; attempt < 60; attempt++) {
    signal.throwIfAborted();
    const env = {...stringsOf(process.env), ETCDCTL_API: '3'};
    const {code} = await exec(argv, {timeoutMs: 20_000, okCodes: [0, 1], signal, env});
    if (code === 0) return;
    await delay(500);
  }
  throw new Error('etcd did not become healthy');
}

/** Faults begin when all is well. */
async function firstUpdate(records: readonly MachineRecord[], signal: AbortSignal): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    signal.throwIfAborted();
    if (records.some(({kind}) => kind === 'released')) return;
    await delay(100);
  }
  throw new Error('no machine updated before the first fault');
}

function stringsOf(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
