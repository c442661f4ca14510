/** What the kernel of this host should hold, from what is agreed and what is handed out here. Pure. */
import type {OverlayHost} from '../common/contracts/overlay.ts';
import {contains, parseAddress, parsePrefix} from '../common/ipv4.ts';
import type {Firewall} from './firewall.ts';
import {leasesOf} from './addresses.ts';
import type {AgentRecord, Allocation} from './record.ts';
import type {FollowedState} from './state.ts';

/** Of one network. Each has a network namespace of its own: what is not routed there cannot be reached from there. */
export interface DesiredNetwork {
  readonly namespace: string;
  readonly mtu: number;
  readonly vxlan: {
    readonly name: string;
    readonly mac: string;
    readonly vni: number;
    readonly port: number;
    readonly local: string;
  };
  readonly gateway: string;
  /** Destination → the device, and the host behind it. */
  readonly routes: ReadonlyMap<string, Route>;
  /** Address of a host → its MAC inside the network. */
  readonly peers: ReadonlyMap<string, string>;
  /** Ends of containers' pairs that belong to the bridge. */
  readonly ports: ReadonlySet<string>;
}

export interface Route {
  readonly device: string;
  /** Address of the host behind it; absent for what is on this one. */
  readonly via?: string;
}

export interface Self {
  readonly machine: string;
  readonly address: string;
  /** Of the interface with that address. */
  readonly mtu: number;
  /** UDP port of the tunnels. */
  readonly port: number;
}

export const bridgeName = 'br0';
/** The same on all hosts: what a container knows of its gateway stays true wherever it runs. */
export const bridgeMac = '02:68:00:00:00:01';
/** Outer IPv4, UDP, VXLAN and inner Ethernet headers (RFC 7348). */
export const vxlanOverhead = 50;

export function namespaceOf(vni: number): string {
  return `hawser-${hex(vni)}`;
}

/** Of a machine in all networks: 40 bits of its UUID, locally administered. */
export function tunnelMac(machine: string): string {
  const digits = machine.replaceAll('-', '').slice(-10);
  return ['02', ...(digits.match(/../g) ?? [])].join(':');
}

/** The smallest of the cluster: a packet that one host can take, every host can. */
export function clusterMtu(hosts: Iterable<OverlayHost>, self: Self): number {
  return Math.min(self.mtu, ...[...hosts].map(({mtu}) => mtu)) - vxlanOverhead;
}

/** Tunnels are taken from these. */
export function desiredFirewall(state: FollowedState, self: Self): Firewall {
  const others = [...state.hosts.values()].filter(({machine}) => machine !== self.machine);
  return {port: self.port, peers: new Set(others.map(({address}) => address))};
}

export function desiredNetworks(state: FollowedState, record: AgentRecord, self: Self): DesiredNetwork[] {
  const mtu = clusterMtu(state.hosts.values(), self);
  return [...state.networks.values()].map(({id, vni, gateway}) => {
    const device = `hwx${hex(vni)}`;
    const routes = new Map<string, Route>();
    const peers = new Map<string, string>();
    for (const {block, machine, released} of leasesOf(state, id)) {
      if (released !== undefined) continue;
      if (machine === self.machine) {
        routes.set(destination(block), {device: bridgeName});
        continue;
      }
      const host = state.hosts.get(machine);
      if (host === undefined || host.address === self.address) continue;
      routes.set(destination(block), {device, via: host.address});
      peers.set(host.address, tunnelMac(machine));
    }
    const ports = new Set<string>();
    for (const {network, address, port} of record.allocations) {
      if (network !== id) continue;
      const owner = ownerOf(state, id, address);
      // Handed out here, and another's by now: cut off rather than answered for by two.
      if (owner !== undefined && owner !== self.machine) continue;
      if (owner === undefined) routes.set(address, {device: bridgeName});
      if (port !== undefined) ports.add(port);
    }
    return {
      namespace: namespaceOf(vni),
      mtu,
      vxlan: {name: device, mac: tunnelMac(self.machine), vni, port: self.port, local: self.address},
      gateway,
      routes,
      peers,
      ports,
    };
  });
}

/** Addresses that were handed out here and belong to another machine by now. */
export function lostAddresses(state: FollowedState, record: AgentRecord, machine: string): string[] {
  return record.allocations.flatMap(({network, address}) => {
    const owner = ownerOf(state, network, address);
    return owner === undefined || owner === machine ? [] : [address];
  });
}

/** Allocations here whose address lies in no machine's block, on networks that are agreed. */
export function unclaimed(state: FollowedState, record: AgentRecord): Allocation[] {
  return record.allocations.filter(
    ({network, address}) => state.networks.has(network) && ownerOf(state, network, address) === undefined,
  );
}

/** Networks that are agreed no more, and how many containers here are on each. */
export function orphans(state: FollowedState, record: AgentRecord): Map<string, number> {
  const counts = new Map<string, number>();
  for (const {network, port} of record.allocations)
    if (port !== undefined && !state.networks.has(network))
      counts.set(network, (counts.get(network) ?? 0) + 1);
  return counts;
}

function ownerOf(state: FollowedState, network: string, address: string): string | undefined {
  const number = parseAddress(address) ?? 0;
  return leasesOf(state, network).find(({block, released}) => {
    const prefix = released === undefined ? parsePrefix(block) : undefined;
    return prefix !== undefined && contains(prefix, number);
  })?.machine;
}

/** As `ip route` prints it: a single address has no length. */
function destination(block: string): string {
  return block.endsWith('/32') ? block.slice(0, -3) : block;
}

function hex(vni: number): string {
  return vni.toString(16).padStart(6, '0');
}
