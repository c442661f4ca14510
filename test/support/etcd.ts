/** A real etcd of one member on loopback, in a folder of its own. */
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {Etcd3} from 'etcd3';
import {freePort} from './ports.ts';

export interface TestEtcd extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  readonly client: Etcd3;
  /** SIGKILL; what it wrote stays. */
  stop(): Promise<void>;
  /** Again, on the same ports and folder. */
  start(): Promise<void>;
  pause(): void;
  go(): void;
}

export interface TestEtcdOptions {
  /** False where nothing is measured and no power is cut. */
  readonly fsync?: boolean;
  readonly dialTimeoutMs?: number;
}

/** Waits until it answers. Fails where etcd is missing: infra/setup.sh --test installs it. */
export async function startEtcd({fsync = true, dialTimeoutMs}: TestEtcdOptions = {}): Promise<TestEtcd> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-etcd-'));
  const [clientPort, peerPort] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${clientPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  const flags = {
    name: 'one',
    'data-dir': folder,
    'log-level': 'error',
    'listen-client-urls': url,
    'advertise-client-urls': url,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `one=${peer}`,
    'initial-cluster-token': `test-${clientPort}-${peerPort}`,
    'unsafe-no-fsync': String(!fsync),
  };
  const argv = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    child = spawn('etcd', argv, {stdio: ['ignore', 'ignore', 'pipe']});
    await answers(child, url);
  };
  const stop = async (): Promise<void> => {
    if (child === undefined || !isAlive(child)) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL'); // also while it is paused
    await gone;
  };
  try {
    await start();
  } catch (error) {
    await stop();
    await rm(folder, {recursive: true, force: true});
    throw error;
  }
  const client = new Etcd3({
    hosts: url,
    ...(dialTimeoutMs === undefined ? {} : {dialTimeout: dialTimeoutMs}),
  });
  return {
    url,
    client,
    get pid() {
      return child?.pid ?? 0;
    },
    start,
    stop,
    pause: () => void child?.kill('SIGSTOP'),
    go: () => void child?.kill('SIGCONT'),
    async [Symbol.asyncDispose]() {
      client.close();
      await stop();
      await rm(folder, {recursive: true, force: true});
    },
  };
}

function isAlive({pid, exitCode, signalCode}: ChildProcess): boolean {
  return pid !== undefined && exitCode === null && signalCode === null;
}

/** Resolves when it is healthy; fails at once, with its own words, when it has ended. A busy machine may take its time. */
async function answers(child: ChildProcess, url: string): Promise<void> {
  let [said, broken] = ['', undefined as Error | undefined];
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.on('error', error => (broken = error));
  for (let attempt = 0; attempt < 1200; attempt++) {
    const answer = await fetch(`${url}/health`).catch(() => undefined);
    if (answer?.ok === true) return;
    if (broken !== undefined)
      throw new Error('etcd cannot be started: run infra/setup.sh --test', {cause: broken});
    if (!isAlive(child)) break;
    await delay(50);
  }
  throw new Error(`etcd did not become healthy (exit code ${String(child.exitCode)}): ${said}`);
}
