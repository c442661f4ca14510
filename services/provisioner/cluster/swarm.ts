/** Docker's REST messages about Swarm, in and out, and its daemon.json. Pure. */
import {Type, type Static} from 'typebox';
import {parseValue} from '../../common/parse.ts';
import {ClusterError} from './errors.ts';

/** 4789, Swarm's own choice and VXLAN's standard port, is left to Hawser's overlay. */
export const swarmDataPort = 7789;
/** Clear of the machines' networks (10.86.0.0/16, QEMU's 10.0.2.0/24) and of Docker's local bridges. */
export const swarmAddressPool = '10.201.0.0/16';
const CONTROL_PORT = 2377;

const text = Type.Optional(Type.String());

/** `GET /info`, as far as it is needed. */
export const DockerInfo = Type.Object({
  LiveRestoreEnabled: Type.Boolean(),
  Swarm: Type.Object({
    NodeID: Type.String(),
    LocalNodeState: Type.String(),
    ControlAvailable: Type.Boolean(),
    Error: text,
    Cluster: Type.Optional(Type.Union([Type.Null(), Type.Object({ID: Type.String()})])),
    RemoteManagers: Type.Optional(
      Type.Union([Type.Null(), Type.Array(Type.Object({NodeID: Type.String(), Addr: Type.String()}))]),
    ),
  }),
});

/** `GET /nodes`. */
export const SwarmNodes = Type.Array(
  Type.Object({
    ID: Type.String(),
    Spec: Type.Object({Availability: Type.String(), Role: Type.String()}),
    Description: Type.Object({Hostname: Type.String()}),
    Status: Type.Object({State: Type.String()}),
    ManagerStatus: Type.Optional(
      Type.Object({
        Leader: Type.Optional(Type.Boolean()),
        // `State` goes on saying "ready" after a manager is dead; this alone tells the truth.
        Reachability: Type.String(),
        Addr: Type.String(),
      }),
    ),
  }),
);
export type SwarmNodes = Static<typeof SwarmNodes>;

/** `GET /swarm`. `Spec` is passed back as it came when tokens are rotated. */
export const SwarmDetails = Type.Object({
  ID: Type.String(),
  Version: Type.Object({Index: Type.Integer()}),
  Spec: Type.Record(Type.String(), Type.Unknown()),
  JoinTokens: Type.Object({Manager: Type.String(), Worker: Type.String()}),
});

export function initRequest(address: string): object {
  return {
    ListenAddr: `0.0.0.0:${CONTROL_PORT}`,
    AdvertiseAddr: address,
    DataPathAddr: address,
    DataPathPort: swarmDataPort,
    DefaultAddrPool: [swarmAddressPool],
    SubnetSize: 24,
    ForceNewCluster: false,
    Spec: {},
  };
}

export function joinRequest(address: string, managers: readonly string[], token: string): object {
  return {
    ListenAddr: `0.0.0.0:${CONTROL_PORT}`,
    AdvertiseAddr: address,
    DataPathAddr: address,
    RemoteAddrs: managers.map(manager => `${manager}:${CONTROL_PORT}`),
    JoinToken: token,
  };
}

/** The daemon's configuration without live-restore, which Swarm refuses; everything else stays. */
export function withoutLiveRestore(daemonJson: string | undefined): string {
  let current: Record<string, unknown>;
  try {
    current = parseValue(
      Type.Record(Type.String(), Type.Unknown()),
      JSON.parse(daemonJson ?? '{}'),
      'daemon.json',
    );
  } catch (error) {
    throw new ClusterError('refused', '/etc/docker/daemon.json is not a JSON object', {
      remedy: 'mend it on the machine',
      cause: error,
    });
  }
  return `${JSON.stringify({...current, 'live-restore': false}, undefined, 2)}\n`;
}
