/**
 * The etcd that `hawser server` starts when it is told of none: one member on loopback with its data in HAWSER_HOME,
 * reached with a certificate only. It outlives a server that is killed, and is taken over by the next.
 */
import {mkdir, readFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {Type, type Static} from 'typebox';
import type {Clock} from '../../common/clock.ts';
import {startDaemon} from '../../common/daemon.ts';
import {systemErrorCode} from '../../common/errors.ts';
import {writeFileAtomic} from '../../common/fs-atomic.ts';
import {parseJson} from '../../common/parse.ts';
import {isAlive, processStart} from '../../common/process-identity.ts';
import {ServerError} from '../errors.ts';
import {
  isHealthy,
  readCredentials,
  tlsFlags,
  writeCredentials,
  type EtcdCredentials,
} from './etcd-credentials.ts';

const Running = Type.Object({
  clientPort: Type.Integer({minimum: 1, maximum: 65_535}),
  peerPort: Type.Integer({minimum: 1, maximum: 65_535}),
  pid: Type.Optional(Type.Integer({minimum: 1})),
  started: Type.Optional(Type.String()),
  /** Absent: started by a version that spoke without. */
  tls: Type.Optional(Type.Literal(true)),
});
type Running = Static<typeof Running>;

const START_MS = 60_000;
const GRACE_MS = 10_000;
const POLL_MS = 100;
/** Two of etcd's lines, for the message when it does not start. */
const LINES_KEPT = 2;

export interface EmbeddedEtcd {
  readonly url: string;
  readonly credentials: EtcdCredentials;
  /** Resolves with how it ended, if it ends by itself. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  /** HAWSER_HOME. The caller holds the lock of the server in it. */
  readonly home: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** PATH and the like, for etcd. */
  readonly env: Readonly<Record<string, string>>;
  /** Makes the certificate for 127.0.0.1 under a CA of its own: for each start anew. */
  readonly issue: () => Promise<EtcdCredentials>;
}

/** Starts etcd, or takes over the one that a killed server left running. Throws `etcd-failed`. */
export async function startEmbeddedEtcd(options: EmbeddedOptions): Promise<EmbeddedEtcd> {
  const {home, clock} = options;
  const file = join(home, 'server', 'etcd.json');
  const folder = join(home, 'server', 'etcd-tls');
  await mkdir(join(home, 'server'), {recursive: true, mode: 0o700});
  await mkdir(join(home, 'etcd'), {recursive: true, mode: 0o700});
  const before = await readRunning(file);
  if (before?.pid !== undefined && before.started !== undefined) {
    const left = {pid: before.pid, started: before.started};
    // Its ports are known; it answers or it does not, and then it is ended.
    if (await isAlive(left)) {
      const kept = before.tls === true ? await readCredentials(folder) : undefined;
      const url = urlOf(before.clientPort);
      if (kept !== undefined && (await isHealthy(url, kept))) return adopted(left, url, kept, clock);
      await endProcess(left, clock);
    }
  }
  const clientPort = await freePort(before?.clientPort);
  const peerPort = await freePort(before?.peerPort);
  const credentials = await options.issue();
  await writeCredentials(folder, credentials);
  const lines: string[] = [];
  const argv = [...command(join(home, 'etcd'), clientPort, peerPort), ...tlsFlags(folder)];
  const daemon = await startDaemon(argv, {
    env: options.env,
    onLine: line => {
      lines.push(line);
      if (lines.length > LINES_KEPT) lines.shift();
    },
  });
  const started = await processStart(daemon.pid);
  const running: Running = {
    clientPort,
    peerPort,
    tls: true,
    pid: daemon.pid,
    ...(started === undefined ? {} : {started}),
  };
  await writeFileAtomic(file, JSON.stringify(running));
  let end: string | undefined;
  void daemon.ended.then(how => (end = how));
  const deadline = clock.now().getTime() + START_MS;
  const url = urlOf(clientPort);
  while (!(await isHealthy(url, credentials))) {
    if (options.signal.aborted || end !== undefined || clock.now().getTime() > deadline) {
      await daemon.stop(GRACE_MS);
      options.signal.throwIfAborted();
      throw new ServerError('etcd-failed', `etcd did not start (${end ?? 'no answer'}): ${lines.join(' ')}`, {
        remedy: `check ${join(home, 'etcd')}, or name another etcd with --etcd`,
      });
    }
    await clock.sleep(POLL_MS);
  }
  return {url, credentials, ended: daemon.ended, stop: () => daemon.stop(GRACE_MS)};
}

function command(dataDir: string, clientPort: number, peerPort: number): string[] {
  const [client, peer] = [urlOf(clientPort), urlOf(peerPort)];
  return [
    'etcd',
    ['--name', 'hawser'],
    ['--data-dir', dataDir],
    ['--listen-client-urls', client],
    ['--advertise-client-urls', client],
    ['--listen-peer-urls', peer],
    ['--initial-advertise-peer-urls', peer],
    ['--initial-cluster', `hawser=${peer}`],
    // History is only needed for as long as a server is cut off and catches up by its watch.
    ['--auto-compaction-mode', 'periodic'],
    ['--auto-compaction-retention', '10m'],
    // etcd's own upper end: at its default of 2 GiB a large fleet's busy hour would stop it for good.
    ['--quota-backend-bytes', String(8 * 2 ** 30)],
    ['--log-level', 'warn'],
    ['--logger', 'zap'],
  ].flat();
}

function adopted(
  left: {pid: number; started: string},
  url: string,
  credentials: EtcdCredentials,
  clock: Clock,
): EmbeddedEtcd {
  const watched = new AbortController();
  const ended = (async () => {
    while (!watched.signal.aborted && (await isAlive(left))) await clock.sleep(1000);
    return 'its process went away';
  })();
  return {
    url,
    credentials,
    ended,
    stop: async () => {
      watched.abort();
      await endProcess(left, clock);
    },
  };
}

async function endProcess(left: {pid: number; started: string}, clock: Clock): Promise<void> {
  process.kill(left.pid, 'SIGTERM');
  for (let waited = 0; await isAlive(left); waited += POLL_MS) {
    if (waited >= GRACE_MS) process.kill(left.pid, 'SIGKILL');
    await clock.sleep(POLL_MS);
  }
}

async function readRunning(file: string): Promise<Running | undefined> {
  try {
    return parseJson(Running, await readFile(file, 'utf8'), file);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The wanted port when nobody has it, else any that is free. */
async function freePort(wanted: number | undefined): Promise<number> {
  return (wanted === undefined ? undefined : await tryPort(wanted)) ?? (await tryPort(0)) ?? 0;
}

function tryPort(port: number): Promise<number | undefined> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : undefined));
    });
  });
}

function urlOf(port: number): string {
  return `https://127.0.0.1:${port}`;
}
