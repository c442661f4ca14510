/** The agent's verbs, which Docker's plugin and CNI share: networks, addresses, ports. */
import type {Clock} from '../common/clock.ts';
import type {CreateNetworkRequest, OverlayLease, OverlayNetwork} from '../common/contracts/overlay.ts';
import {contains, formatAddress, parseAddress} from '../common/ipv4.ts';
import {foreignBlocks, freeAddresses, macOf, mayUse, ownBlocks} from './addresses.ts';
import {clusterMtu, namespaceOf, type Self} from './desired.ts';
import {OverlayError} from './errors.ts';
import type {Memory} from './memory.ts';
import type {AgentLog, Dataplane, ServerPort} from './ports.ts';
import {allocationAt, allocationOf, withAllocation, withoutAddress, type Allocation} from './record.ts';

export interface AgentDeps {
  readonly memory: Memory;
  readonly server: ServerPort;
  readonly dataplane: Dataplane;
  readonly self: () => Self;
  readonly clock: Clock;
  readonly log: AgentLog;
  /** Resolves when the kernel has been brought in line once more. */
  readonly reconciled: () => Promise<void>;
  /** Why the server does not know this host, when it says so: another one answers to its name. */
  readonly refusal: () => OverlayError | undefined;
}

export class OverlayAgent {
  readonly #deps: AgentDeps;
  readonly #claims = new Map<string, Promise<OverlayLease>>();
  readonly #last = new Map<string, number>();

  constructor(deps: AgentDeps) {
    this.#deps = deps;
  }

  /** Throws `unknown-network`. */
  network(id: string): OverlayNetwork {
    const network = this.#deps.memory.state().networks.get(id);
    if (network !== undefined) return network;
    throw new OverlayError(
      'unknown-network',
      `there is no network with subnet ${id.replace('-', '/')} in the cluster`,
      {
        remedy: 'see hawser net ls; it may have been removed on another host',
      },
    );
  }

  /** The network of this name, as CNI calls it. Throws `unknown-network`. */
  named(name: string): OverlayNetwork {
    const found = [...this.#deps.memory.state().networks.values()].find(each => each.name === name);
    if (found !== undefined) return found;
    throw new OverlayError('unknown-network', `there is no network ${name} in the cluster`, {
      remedy: 'make it with hawser net create, or docker network create -d hawser',
    });
  }

  /** Agrees on a network with the cluster. Throws `refused`, `unreachable`. */
  async createNetwork(request: CreateNetworkRequest): Promise<OverlayNetwork> {
    const network = await this.#deps.server.createNetwork(request);
    this.#deps.memory.learn({network});
    return network;
  }

  /**
   * An address for somebody, the wanted one if any. Throws `address-held`, `exhausted`, `unreachable`, `refused` (also
   * while the server refuses the host itself).
   */
  async allocate(id: string, by: Allocation['by'], wanted?: string, endpoint?: string): Promise<Allocation> {
    const {memory, clock, refusal} = this.#deps;
    // What this host holds, another one holds too.
    const refused = refusal();
    if (refused !== undefined) throw refused;
    const network = this.network(id);
    const number = wanted === undefined ? await this.#nextFree(network) : await this.#own(network, wanted);
    const allocation: Allocation = {
      network: id,
      address: formatAddress(number),
      by,
      at: clock.now().toISOString(),
      ...(endpoint === undefined ? {} : {endpoint}),
    };
    this.#last.set(id, number);
    await memory.change(record => withAllocation(record, allocation));
    this.#claimAhead(network);
    return allocation;
  }

  async release(id: string, address: string): Promise<void> {
    const allocation = allocationAt(this.#deps.memory.record(), id, address);
    if (allocation === undefined) return;
    if (allocation.port !== undefined) await this.#removePort(allocation);
    await this.#deps.memory.change(record => withoutAddress(record, id, address));
  }

  /** Ties an address to an endpoint. Throws `bad-request` when it was not handed out here. */
  async bind(
    id: string,
    address: string,
    endpoint: string,
    mac: string | undefined,
    names?: readonly string[],
  ): Promise<Allocation> {
    const allocation = allocationAt(this.#deps.memory.record(), id, address);
    if (allocation === undefined)
      throw new OverlayError('bad-request', `${address} was not handed out by this host`, {
        remedy: 'make the network with --ipam-driver hawser',
      });
    const bound = {
      ...allocation,
      endpoint,
      mac: mac ?? macOf(address),
      ...(names === undefined ? {} : {names: [...names]}),
    };
    await this.#deps.memory.change(record => withAllocation(record, bound));
    return bound;
  }

  /** Makes the pair of an endpoint; `inside` is the end for the container. Throws `bad-request`, `dataplane`. */
  async attach(
    endpoint: string,
  ): Promise<{readonly inside: string; readonly allocation: Allocation; readonly mtu: number}> {
    const {memory, dataplane, reconciled, self} = this.#deps;
    const allocation = allocationOf(memory.record(), endpoint);
    if (allocation === undefined) throw new OverlayError('bad-request', `there is no endpoint ${endpoint}`);
    const network = this.network(allocation.network);
    const digits = digitsOf(endpoint);
    const pair = {
      namespace: namespaceOf(network.vni),
      port: `hwp${digits}`,
      inside: `hwc${digits}`,
      mac: allocation.mac ?? macOf(allocation.address),
      mtu: clusterMtu(memory.state().hosts.values(), self()),
    };
    const joined = {...allocation, port: pair.port};
    await memory.change(record => withAllocation(record, joined));
    try {
      await dataplane.addPort(pair);
    } catch {
      // The network may be so new that nothing is there yet, or a pair may be left from an attempt before.
      await dataplane.removePort(pair.namespace, pair.port);
      await reconciled();
      await dataplane.addPort(pair);
    }
    return {inside: pair.inside, allocation: joined, mtu: pair.mtu};
  }

  /** Removes the pair of an endpoint. Fine when there is none. */
  async detach(endpoint: string): Promise<void> {
    const allocation = allocationOf(this.#deps.memory.record(), endpoint);
    if (allocation?.port === undefined) return;
    await this.#removePort(allocation);
    const {port: _port, ...rest} = allocation;
    await this.#deps.memory.change(record => withAllocation(record, rest));
  }

  /** The endpoint is no more; its address is released on its own. */
  async unbind(endpoint: string): Promise<void> {
    await this.detach(endpoint);
    const allocation = allocationOf(this.#deps.memory.record(), endpoint);
    if (allocation === undefined) return;
    const {endpoint: _endpoint, names: _names, mac: _mac, ...rest} = allocation;
    await this.#deps.memory.change(record => withAllocation(record, rest));
  }

  async #removePort({network, port}: Allocation): Promise<void> {
    const vni = this.#deps.memory.state().networks.get(network)?.vni;
    if (vni !== undefined && port !== undefined)
      await this.#deps.dataplane.removePort(namespaceOf(vni), port);
  }

  async #nextFree(network: OverlayNetwork): Promise<number> {
    for (let attempt = 0; attempt < 3; attempt++) {
      const [first] = this.#free(network);
      if (first !== undefined) return first;
      await this.#claim(network.id);
    }
    throw new OverlayError(
      'exhausted',
      `network ${network.name ?? network.id} has no address left for this host`,
      {
        remedy: 'see who holds them with hawser net inspect',
      },
    );
  }

  async #own(network: OverlayNetwork, address: string): Promise<number> {
    const {memory, server, self} = this.#deps;
    const number = parseAddress(address);
    if (number === undefined || !mayUse(network, number))
      throw new OverlayError(
        'address-held',
        `${address} is not for containers of ${network.name ?? network.id}`,
        {
          remedy: `choose one in ${network.subnet} besides its first, its last and the gateway ${network.gateway}`,
        },
      );
    if (allocationAt(memory.record(), network.id, address) !== undefined)
      throw new OverlayError('address-held', `${address} is in use on this host`);
    const blocks = ownBlocks(memory.state(), network.id, self().machine);
    if (!blocks.some(block => contains(block, number)))
      memory.learn({lease: await server.claim({network: network.id, address})});
    return number;
  }

  #free(network: OverlayNetwork): number[] {
    const {memory, self} = this.#deps;
    const blocks = ownBlocks(memory.state(), network.id, self().machine);
    const foreign = foreignBlocks(memory.state(), network.id, self().machine);
    return freeAddresses(network, blocks, memory.record(), this.#last.get(network.id), foreign);
  }

  /** Who comes while a claim is under way waits for that one. */
  #claim(network: string, spare = false): Promise<OverlayLease> {
    const {memory, server} = this.#deps;
    const under = this.#claims.get(network);
    if (under !== undefined) return under;
    const claim = server
      .claim({network, ...(spare ? {spare} : {})})
      .then(lease => {
        memory.learn({lease});
        return lease;
      })
      .finally(() => this.#claims.delete(network));
    this.#claims.set(network, claim);
    return claim;
  }

  /** So that containers start while the server is away. */
  #claimAhead(network: OverlayNetwork): void {
    const {memory, self, log} = this.#deps;
    const free = this.#free(network).length;
    const held = ownBlocks(memory.state(), network.id, self().machine).length;
    if (free >= 2 || held === 0) return;
    this.#claim(network.id, true).catch((error: unknown) => {
      if (error instanceof OverlayError && error.code === 'refused') return; // scarce: only what is needed
      log.warn({err: error, network: network.name ?? network.id}, 'no block in advance');
    });
  }
}

/** Ten hexadecimal digits of an endpoint: Docker's ids are hexadecimal, CNI's are hashed by the caller. */
function digitsOf(endpoint: string): string {
  const digits = endpoint.replaceAll(/[^0-9a-f]/g, '').slice(0, 10);
  if (digits.length === 10) return digits;
  throw new OverlayError('bad-request', `"${endpoint}" cannot be the id of an endpoint`);
}
