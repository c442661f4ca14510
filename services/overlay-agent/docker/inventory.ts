/** What dockerd says of networks and containers, and what follows from it. Pure. */
import {Type, type Static} from 'typebox';
import type {OverlayNetwork} from '../../common/contracts/overlay.ts';
import type {AgentRecord, Allocation} from '../record.ts';

export const DockerNetwork = Type.Object({
  Name: Type.String(),
  Id: Type.String(),
  Driver: Type.String(),
  Internal: Type.Optional(Type.Boolean()),
  Labels: Type.Optional(Type.Union([Type.Record(Type.String(), Type.String()), Type.Null()])),
});
export type DockerNetwork = Static<typeof DockerNetwork>;

export const RunningContainer = Type.Object({
  Id: Type.String(),
  NetworkSettings: Type.Object({
    Networks: Type.Union([
      Type.Record(Type.String(), Type.Object({EndpointID: Type.String(), IPAddress: Type.String()})),
      Type.Null(),
    ]),
  }),
});
export type RunningContainer = Static<typeof RunningContainer>;

/** docker_gwbridge, of which containers' own entries say nothing. */
export const GatewayBridge = Type.Object({
  Containers: Type.Optional(
    Type.Union([Type.Record(Type.String(), Type.Object({IPv4Address: Type.String()})), Type.Null()]),
  ),
});
export type GatewayBridge = Static<typeof GatewayBridge>;

export const InspectedContainer = Type.Object({
  Name: Type.String(),
  Config: Type.Object({Hostname: Type.Optional(Type.String())}),
  NetworkSettings: Type.Object({
    Networks: Type.Union([
      Type.Record(
        Type.String(),
        Type.Object({
          EndpointID: Type.String(),
          Aliases: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
          DNSNames: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
        }),
      ),
      Type.Null(),
    ]),
  }),
});
export type InspectedContainer = Static<typeof InspectedContainer>;

export interface MirrorPlan {
  /** Agreed networks that this Docker lacks. */
  readonly create: readonly OverlayNetwork[];
  /** Docker's networks that are agreed no more: our id, Docker's, and the name. */
  readonly remove: readonly {readonly id: string; readonly dockerId: string; readonly name: string}[];
  /** Networks that got their name here: the cluster does not know it yet. */
  readonly name: readonly {readonly id: string; readonly docker: DockerNetwork}[];
  /** Names under which this Docker has something else. */
  readonly clashes: readonly {readonly network: OverlayNetwork; readonly driver: string}[];
}

/** What makes the networks of this Docker those of the cluster. `forget`: also remove what is not agreed any more. */
export function planMirror(
  agreed: ReadonlyMap<string, OverlayNetwork>,
  docker: readonly DockerNetwork[],
  record: AgentRecord,
  forget: boolean,
): MirrorPlan {
  const here = new Map(
    docker.flatMap(each => {
      const id = record.docker[each.Id];
      return id === undefined ? [] : [[id, each] as const];
    }),
  );
  const byName = new Map(docker.map(each => [each.Name, each]));
  const missing = [...agreed.values()].filter(({id, name}) => name !== undefined && !here.has(id));
  const clash = (network: OverlayNetwork) => byName.get(network.name ?? '');
  return {
    create: missing.filter(network => clash(network) === undefined),
    clashes: missing.flatMap(network => {
      const other = clash(network);
      return other === undefined ? [] : [{network, driver: other.Driver}];
    }),
    remove: forget
      ? [...here].flatMap(([id, {Id, Name}]) => (agreed.has(id) ? [] : [{id, dockerId: Id, name: Name}]))
      : [],
    name: [...here].flatMap(([id, each]) => {
      const network = agreed.get(id);
      return network !== undefined && network.name !== each.Name ? [{id, docker: each}] : [];
    }),
  };
}

/** The names of a container by endpoint, each once. */
export function namesByEndpoint({Name, NetworkSettings}: InspectedContainer): Map<string, string[]> {
  const own = Name.replace(/^\//, '');
  return new Map(
    Object.values(NetworkSettings.Networks ?? {}).map(({EndpointID, Aliases, DNSNames}) => [
      EndpointID,
      [...new Set([own, ...(DNSNames ?? Aliases ?? [])])].filter(name => name !== '').slice(0, 32),
    ]),
  );
}

/** For each address by which a container reaches this host: our networks that it is on. */
export function clientsOf(
  running: readonly RunningContainer[],
  gateway: GatewayBridge | undefined,
  record: AgentRecord,
): Map<string, ReadonlySet<string>> {
  const byEndpoint = new Map(
    record.allocations.flatMap(each =>
      each.endpoint === undefined ? [] : [[each.endpoint, each.network] as const],
    ),
  );
  const clients = new Map<string, ReadonlySet<string>>();
  for (const {Id, NetworkSettings} of running) {
    const all = Object.values(NetworkSettings.Networks ?? {});
    const ours = new Set(all.flatMap(({EndpointID}) => byEndpoint.get(EndpointID) ?? []));
    if (ours.size === 0) continue;
    const outside = gateway?.Containers?.[Id]?.IPv4Address.split('/')[0];
    for (const {EndpointID, IPAddress} of all) if (!byEndpoint.has(EndpointID)) clients.set(IPAddress, ours);
    if (outside !== undefined) clients.set(outside, ours);
  }
  clients.delete('');
  return clients;
}

/** Handed out to Docker, tied to no container that runs, and not just now: left behind by a dockerd that was killed. */
export function leftBehind(
  {allocations}: AgentRecord,
  running: ReadonlySet<string>,
  now: Date,
  ageMs: number,
): Allocation[] {
  return allocations.filter(
    ({by, endpoint, at}) =>
      by === 'docker' &&
      now.getTime() - Date.parse(at) > ageMs &&
      (endpoint === undefined || !running.has(endpoint)),
  );
}
