/**
 * Keeps this Docker's networks those of the cluster, and hears from it what the driver is never told: names and labels.
 * Runs beside the plugin's handlers, and only here is dockerd called.
 */
import {Type} from 'typebox';
import type {Clock} from '../../common/clock.ts';
import {parseValue} from '../../common/parse.ts';
import type {DockerApi} from '../adapters/docker.ts';
import type {OverlayAgent} from '../agent.ts';
import type {OverlayNetwork} from '../../common/contracts/overlay.ts';
import {OverlayError} from '../errors.ts';
import type {FaultBoard} from '../faults.ts';
import type {Memory} from '../memory.ts';
import type {AgentLog, ServerPort} from '../ports.ts';
import {allocationOf, withAllocation} from '../record.ts';
import {
  clientsOf,
  DockerNetwork,
  GatewayBridge,
  InspectedContainer,
  leftBehind,
  namesByEndpoint,
  planMirror,
  RunningContainer,
} from './inventory.ts';

const RETRY_MS = 2000;
const GATHER_MS = 20;
const EVERY_MS = 30_000;
const LOOK_AGAIN_MS = 500;
/** How long an address may be without a container: dockerd asks for it well before the container runs. */
const LEFT_BEHIND_MS = 10 * 60_000;

export interface SyncDeps {
  readonly docker: DockerApi;
  readonly memory: Memory;
  readonly agent: OverlayAgent;
  readonly server: ServerPort;
  readonly clock: Clock;
  readonly log: AgentLog;
  /** Shared with the plugin. */
  readonly mirroring: Set<string>;
  readonly faults: FaultBoard;
  /** Whether what is agreed is known from the server just now. */
  readonly connected: () => boolean;
}

export interface Sync {
  kick(): void;
  /** Our networks of the container that reaches this host from that address; looks once more if it is not known. */
  networksAt(address: string): Promise<ReadonlySet<string> | undefined>;
  run(signal: AbortSignal): Promise<void>;
}

export function createSync(deps: SyncDeps): Sync {
  let wake = (): void => undefined;
  let dirty = true;
  const kick = (): void => {
    dirty = true;
    wake();
  };
  /** Names are read again for these: containers whose networks changed. All, when undefined. */
  const known = new Map<string, ReadonlyMap<string, readonly string[]>>();
  let told = '';
  let clients: ReadonlyMap<string, ReadonlySet<string>> = new Map();
  let waiting: (() => void)[] = [];

  const listen = async (signal: AbortSignal): Promise<void> => {
    const filters = {type: ['network', 'container'], event: [...events]};
    while (!signal.aborted) {
      try {
        await deps.docker.events(
          filters,
          kick,
          event => {
            const id = containerIn(event);
            if (id === undefined) known.clear();
            else known.delete(id);
            kick();
          },
          signal,
        );
      } catch {
        known.clear();
      }
      await deps.clock.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  };

  const round = async (): Promise<void> => {
    const {docker, memory} = deps;
    const networks = parseValue(
      Type.Array(DockerNetwork),
      await docker.call('GET', '/networks'),
      "Docker's networks",
    );
    const forget = deps.connected() && !memory.settling();
    const todo = planMirror(memory.state().networks, networks, memory.record(), forget);
    const clashes = todo.clashes.map(({network, driver}) => `${network.name} (${driver})`).join(', ');
    if (clashes !== '' && clashes !== told)
      deps.log.error({networks: clashes}, 'networks of the cluster whose names are taken in this Docker');
    told = clashes;
    deps.faults.set(
      'docker',
      todo.clashes.map(
        ({network, driver}) =>
          `network ${network.name} is not in Docker, which has another (driver ${driver}) of that name: remove that one`,
      ),
    );
    for (const each of todo.name) await nameIt(deps, each.id, each.docker);
    for (const network of todo.create) await createHere(deps, network);
    for (const each of todo.remove) await removeHere(deps, each);
    clients = (await readNames(deps, known)) ?? new Map();
  };

  return {
    kick,
    networksAt: async address => {
      const found = clients.get(address);
      if (found !== undefined) return found;
      // It may have started this very moment.
      await new Promise<void>(resolve => {
        waiting.push(resolve);
        setTimeout(resolve, LOOK_AGAIN_MS);
        kick();
      });
      return clients.get(address);
    },
    run: async signal => {
      const listening = listen(signal);
      while (!signal.aborted) {
        if (!dirty) await sleep(EVERY_MS, signal);
        await deps.clock.sleep(GATHER_MS, signal).catch(() => undefined);
        if (signal.aborted) break;
        dirty = false;
        const asked = waiting;
        waiting = [];
        try {
          await round();
          for (const done of asked) done();
        } catch (error) {
          if (!(error instanceof OverlayError))
            deps.log.error({err: error}, 'Docker could not be brought in line');
          await deps.clock.sleep(RETRY_MS, signal).catch(() => undefined);
          dirty = true;
        }
      }
      await listening;
    },
  };

  async function sleep(ms: number, signal: AbortSignal): Promise<void> {
    const both = new AbortController();
    wake = () => both.abort();
    await deps.clock.sleep(ms, AbortSignal.any([signal, both.signal])).catch(() => undefined);
    wake = () => undefined;
  }
}

const events = ['create', 'destroy', 'start', 'die', 'rename', 'connect', 'disconnect'] as const;

const NetworkEvent = Type.Object({
  Type: Type.String(),
  Actor: Type.Object({
    ID: Type.String(),
    Attributes: Type.Optional(Type.Record(Type.String(), Type.String())),
  }),
});

/** The container that an event is about. */
function containerIn(event: unknown): string | undefined {
  const {Type: type, Actor: actor} = parseValue(NetworkEvent, event, "Docker's event");
  return type === 'container' ? actor.ID : actor.Attributes?.['container'];
}

async function nameIt(
  {server, memory, log, docker}: SyncDeps,
  id: string,
  here: DockerNetwork,
): Promise<void> {
  const wish = {name: here.Name, labels: here.Labels ?? {}, internal: here.Internal ?? false};
  try {
    memory.learn({network: await server.nameNetwork(id, wish)});
  } catch (error) {
    if (!(error instanceof OverlayError) || error.code !== 'refused') throw error;
    log.error(
      {err: error, network: here.Name},
      'the cluster does not take this network: it is removed from Docker',
    );
    await docker.call('DELETE', `/networks/${here.Id}`).catch((failed: unknown) => {
      log.error({err: failed, network: here.Name}, 'and could not be removed');
    });
  }
}

async function createHere({docker, mirroring, log}: SyncDeps, network: OverlayNetwork): Promise<void> {
  const {id, name, subnet, gateway, labels, internal} = network;
  mirroring.add(id);
  try {
    await docker.call('POST', '/networks/create', {
      Name: name,
      Driver: 'hawser',
      Labels: labels,
      Internal: internal,
      Options: {'hawser.network': name},
      IPAM: {Driver: 'hawser', Config: [{Subnet: subnet, Gateway: gateway}]},
    });
    log.info({network: name}, 'network of the cluster made in Docker');
  } catch (error) {
    log.error({err: error, network: name}, 'a network of the cluster could not be made in Docker');
  } finally {
    mirroring.delete(id);
  }
}

async function removeHere(
  {docker, mirroring, log}: SyncDeps,
  {id, dockerId, name}: {readonly id: string; readonly dockerId: string; readonly name: string},
): Promise<void> {
  mirroring.add(id);
  try {
    await docker.call('DELETE', `/networks/${dockerId}`);
    log.info({network: name}, 'network was removed in the cluster, and so in Docker');
  } catch (error) {
    log.error({err: error, network: name}, 'a network that the cluster removed is still in use here');
  } finally {
    mirroring.delete(id);
  }
}

/** Names of the containers that run, for those not known yet; and what nobody uses is given back. */
async function readNames(
  {docker, memory, agent, clock}: SyncDeps,
  known: Map<string, ReadonlyMap<string, readonly string[]>>,
): Promise<ReadonlyMap<string, ReadonlySet<string>> | undefined> {
  if (memory.record().allocations.every(({by}) => by !== 'docker')) return undefined;
  const running = parseValue(
    Type.Array(RunningContainer),
    await docker.call('GET', '/containers/json'),
    "Docker's containers",
  );
  const endpoints = new Set<string>();
  for (const {Id, NetworkSettings} of running) {
    const own = Object.values(NetworkSettings.Networks ?? {}).map(({EndpointID}) => EndpointID);
    for (const each of own) endpoints.add(each);
    if (!own.some(each => allocationOf(memory.record(), each) !== undefined)) continue;
    const names =
      known.get(Id) ??
      namesByEndpoint(
        parseValue(
          InspectedContainer,
          await docker.call('GET', `/containers/${Id}/json`),
          "Docker's container",
        ),
      );
    known.set(Id, names);
    for (const [endpoint, list] of names) {
      const allocation = allocationOf(memory.record(), endpoint);
      if (allocation === undefined || allocation.names?.join(' ') === list.join(' ')) continue;
      await memory.change(record => withAllocation(record, {...allocation, names: [...list]}));
    }
  }
  const ids = new Set(running.map(({Id}) => Id));
  for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
  for (const {network, address} of leftBehind(memory.record(), endpoints, clock.now(), LEFT_BEHIND_MS))
    await agent.release(network, address);
  return clientsOf(running, await gatewayBridge(docker), memory.record());
}

async function gatewayBridge(docker: DockerApi): Promise<GatewayBridge | undefined> {
  try {
    return parseValue(
      GatewayBridge,
      await docker.call('GET', '/networks/docker_gwbridge'),
      "Docker's bridge",
    );
  } catch (error) {
    // Docker makes it with the first container that needs it.
    if (error instanceof OverlayError && error.context['status'] === 404) return undefined;
    throw error;
  }
}
