/** What the agent needs from outside. */
import type {
  AnnounceAnswer,
  AnnounceRequest,
  ClaimRequest,
  CreateNetworkRequest,
  EndpointsRequest,
  NameNetworkRequest,
  OverlayLease,
  OverlayNetwork,
  WatchLine,
} from '../common/contracts/overlay.ts';
import type {Actual} from './actual.ts';
import type {Step} from './plan.ts';
import type {AgentRecord} from './record.ts';
import type {StoredState} from './state.ts';

/** The server. Throws OverlayError `unreachable` and `refused`. */
export interface ServerPort {
  announce(request: AnnounceRequest): Promise<AnnounceAnswer>;
  createNetwork(request: CreateNetworkRequest): Promise<OverlayNetwork>;
  nameNetwork(id: string, request: NameNetworkRequest): Promise<OverlayNetwork>;
  removeNetwork(id: string): Promise<void>;
  claim(request: ClaimRequest): Promise<OverlayLease>;
  release(network: string, block: string): Promise<void>;
  endpoints(request: EndpointsRequest): Promise<void>;
  /** Calls `onLine` for each line until the stream ends; always throws, for it never should. */
  watch(onLine: (line: WatchLine) => void, signal: AbortSignal): Promise<never>;
}

/** The kernel. Throws OverlayError `dataplane`. */
export interface Dataplane {
  read(): Promise<Actual>;
  /** What each line that failed said; the others were carried out. */
  apply(steps: readonly Step[]): Promise<readonly string[]>;
  /** A pair: `inside` on the host, to be moved into a container; `port` on the network's bridge. */
  addPort(pair: PortPair): Promise<void>;
  /** The pair goes with it. Fine when it is gone already. */
  removePort(namespace: string, port: string): Promise<void>;
}

export interface PortPair {
  readonly namespace: string;
  readonly port: string;
  readonly inside: string;
  readonly mac: string;
  readonly mtu: number;
}

/** A container of CNI, by the path of its network namespace. Throws OverlayError `dataplane`. */
export interface ContainerNamespaces {
  /** Moves `inside` there, as `name` with this address. */
  adopt(path: string, inside: string, name: string, address: string): Promise<void>;
  /** The MAC and addresses of `name` there; undefined when either is gone. */
  look(
    path: string,
    name: string,
  ): Promise<{readonly mac: string; readonly addresses: readonly string[]} | undefined>;
}

/** Files that survive a restart. */
export interface AgentStore {
  loadRecord(): Promise<AgentRecord>;
  /** Durable once it resolves. */
  saveRecord(record: AgentRecord): Promise<void>;
  loadState(): Promise<StoredState | undefined>;
  saveState(state: StoredState): Promise<void>;
}

export interface AgentLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
