/** The agent as a whole, from its parts; ends when the signal fires. The kernel keeps what it has. */
import {chmod, mkdir, rm} from 'node:fs/promises';
import {dirname} from 'node:path';
import type {FastifyInstance} from 'fastify';
import type {Clock} from '../common/clock.ts';
import {dockerApi} from './adapters/docker.ts';
import {monitorKernel} from './adapters/monitor.ts';
import {hostServers, nameServerAddress, serveNames} from './adapters/name-server.ts';
import {OverlayAgent} from './agent.ts';
import {cniCalls} from './cni/calls.ts';
import {controlApp} from './control.ts';
import type {Self} from './desired.ts';
import {createSync} from './docker/sync.ts';
import {dockerPlugin} from './docker/plugin.ts';
import type {OverlayError} from './errors.ts';
import {createFaultBoard} from './faults.ts';
import {Figures} from './figures.ts';
import {
  claimAgain,
  followServer,
  keepAnnouncing,
  giveBack,
  publishEndpoints,
  type FollowDeps,
} from './follow.ts';
import {openMemory} from './memory.ts';
import type {AgentLog, AgentStore, ContainerNamespaces, Dataplane, ServerPort} from './ports.ts';
import {createReconciler} from './reconcile.ts';

export interface RunOptions {
  readonly server: ServerPort;
  readonly dataplane: Dataplane;
  readonly store: AgentStore;
  readonly self: () => Self;
  readonly boot: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: AgentLog;
  readonly sockets: {readonly plugin: string; readonly docker: string; readonly control: string};
  /** Network namespaces of CNI's containers. */
  readonly containers: ContainerNamespaces;
  /** How long a block is kept without a container in it; absent for the usual time. */
  readonly idleMs?: number;
  /** The environment of the programs that it starts. */
  readonly env: Readonly<Record<string, string>>;
}

export async function runOverlay(options: RunOptions, signal: AbortSignal): Promise<void> {
  const {server, dataplane, store, self, clock, log, sockets} = options;
  let changed = (): void => undefined;
  let connected = false;
  let refusal: OverlayError | undefined;
  const memory = await openMemory(store, clock, log, () => changed());
  const faults = createFaultBoard();
  const figures = new Figures();
  const reconciler = createReconciler({
    memory,
    dataplane,
    self,
    clock,
    log,
    faults,
    done: round => figures.round(round),
  });
  const agent = new OverlayAgent({
    memory,
    server,
    dataplane,
    self,
    clock,
    log,
    reconciled: () => reconciler.now(),
    refusal: () => refusal,
  });
  const mirroring = new Set<string>();
  const sync = createSync({
    docker: dockerApi(sockets.docker),
    memory,
    agent,
    server,
    clock,
    log,
    mirroring,
    faults,
    connected: () => connected,
  });
  const following: FollowDeps = {
    ...options,
    memory,
    faults,
    connected: now => {
      if (now && !connected) sync.kick();
      connected = now;
    },
    refused: why => (refusal = why),
  };
  let idle: ReadonlyMap<string, number> = new Map();
  const tell = async (): Promise<void> => {
    if (!connected || refusal !== undefined) return;
    await claimAgain(following);
    await publishEndpoints(following);
    idle = await giveBack(following, idle);
  };
  const publisher = whenever(tell, clock, log, signal);
  let names = '';
  changed = () => {
    reconciler.kick();
    publisher.kick();
    // Docker is asked only when something changed that it knows of.
    const now = [...memory.state().networks.values()].map(({id, name}) => `${id} ${name}`).join('\n');
    if (now !== names) sync.kick();
    names = now;
  };
  const plugin = dockerPlugin({agent, memory, server, log, mirroring});
  const control = controlApp({
    figures: () => figures.text(memory, connected, self().machine),
    cni: cniCalls({agent, memory, containers: options.containers}),
    log,
  });
  await serve(plugin, sockets.plugin);
  await serve(control, sockets.control);
  await dataplane.apply([{tool: 'ip', lines: [`addr replace ${nameServerAddress}/32 dev lo`]}]);
  log.info({...self()}, 'overlay agent is up');
  try {
    await Promise.all([
      reconciler.run(signal),
      monitorKernel(options.env, () => reconciler.kick(), clock, log, signal),
      followServer(following, signal),
      keepAnnouncing(following, signal),
      sync.run(signal),
      serveNames(
        {
          state: () => memory.state(),
          networksAt: address => sync.networksAt(address),
          upstreams: () => hostServers(['/run/systemd/resolve/resolv.conf', '/etc/resolv.conf']),
          log,
        },
        signal,
      ),
      publisher.run(),
    ]);
  } finally {
    for (const [app, path] of [
      [plugin, sockets.plugin],
      [control, sockets.control],
    ] as const) {
      await app.close();
      await rm(path, {force: true});
    }
    await memory.flush();
  }
}

async function serve(app: FastifyInstance, path: string): Promise<void> {
  await mkdir(dirname(path), {recursive: true});
  // A socket that nobody serves would hold dockerd up at its start.
  await rm(path, {force: true});
  await app.listen({path});
  await chmod(path, 0o600);
}

/** Work that is done once for all that came since it began, and again every 30 s. */
function whenever(
  work: () => Promise<void>,
  clock: Clock,
  log: AgentLog,
  signal: AbortSignal,
): {kick(): void; run(): Promise<void>} {
  let dirty = true;
  let wake = (): void => undefined;
  return {
    kick: () => {
      dirty = true;
      wake();
    },
    run: async () => {
      while (!signal.aborted) {
        const both = new AbortController();
        wake = () => both.abort();
        if (!dirty) await clock.sleep(30_000, AbortSignal.any([signal, both.signal])).catch(() => undefined);
        await clock.sleep(20, signal).catch(() => undefined);
        if (signal.aborted) return;
        dirty = false;
        try {
          await work();
        } catch (error) {
          log.warn({err: error}, 'what is here could not be told to the server yet');
          await clock.sleep(1000, signal).catch(() => undefined);
          dirty = true;
        }
      }
    },
  };
}
