/**
 * The difference of desired and actual, as batches for `ip`, `bridge` and `sysctl`. Pure. Only what differs is touched;
 * a namespace of ours that no network wants goes; nothing else on the host is ours.
 */
import {noNamespace, type Actual, type ActualNamespace, type Link} from './actual.ts';
import {firewallText, sameFirewall, type Firewall} from './firewall.ts';
import {bridgeMac, bridgeName, type DesiredNetwork, type Route} from './desired.ts';

export type Step =
  /** Lines for `ip -batch -`, in the namespace or on the host. */
  | {readonly tool: 'ip'; readonly namespace?: string; readonly lines: readonly string[]}
  | {readonly tool: 'bridge'; readonly namespace: string; readonly lines: readonly string[]}
  | {readonly tool: 'sysctl'; readonly namespace: string; readonly settings: readonly string[]}
  /** A file for `nft -f -`, on the host. */
  | {readonly tool: 'nft'; readonly text: string};

export const driftKinds = ['namespace', 'device', 'route', 'neighbour', 'fdb', 'port', 'firewall'] as const;
export type DriftKind = (typeof driftKinds)[number];

export interface Plan {
  readonly steps: readonly Step[];
  /** How much of each kind was missing, wrong or too much. */
  readonly drift: Readonly<Record<DriftKind, number>>;
}

/** For each new namespace, before a device comes into it: forwarding between its bridge and its tunnel, nothing else. */
const namespaceSettings = [
  'net.ipv4.ip_forward=1',
  'net.ipv4.conf.default.proxy_arp=1',
  // A container speaks for addresses of its own host's blocks alone, a peer for those of its own.
  'net.ipv4.conf.all.rp_filter=1', // of both, the kernel takes the higher, and 2 would be looser
  'net.ipv4.conf.default.rp_filter=1',
  'net.ipv4.conf.default.accept_redirects=0',
  'net.ipv4.conf.default.send_redirects=0',
  'net.ipv6.conf.default.disable_ipv6=1',
] as const;

export function plan(desired: readonly DesiredNetwork[], actual: Actual, firewall?: Firewall): Plan {
  const drift: Record<DriftKind, number> = {
    namespace: 0,
    device: 0,
    route: 0,
    neighbour: 0,
    fdb: 0,
    port: 0,
    firewall: 0,
  };
  const steps: Step[] = [];
  // Before all else: nothing is opened that is not guarded.
  if (
    firewall !== undefined &&
    actual.firewall !== 'unavailable' &&
    !sameFirewall(firewall, actual.firewall)
  ) {
    drift.firewall++;
    steps.push({tool: 'nft', text: firewallText(firewall)});
  }
  const wanted = new Set(desired.map(({namespace}) => namespace));
  const [gone, strays] = [[...actual.namespaces.keys()].filter(name => !wanted.has(name)), actual.strays];
  drift.namespace += gone.length;
  ip(steps, undefined, [...gone.map(name => `netns del ${name}`), ...strays.map(name => `link del ${name}`)]);
  for (const network of desired) planNetwork(network, actual, steps, drift);
  return {steps, drift};
}

function planNetwork(
  network: DesiredNetwork,
  {namespaces}: Actual,
  steps: Step[],
  drift: Record<DriftKind, number>,
): void {
  const {namespace, vxlan, mtu} = network;
  const found = namespaces.get(namespace);
  if (found === undefined) {
    drift.namespace++;
    // An id of its own lets one `ip monitor all-nsid` hear what changes inside.
    ip(steps, undefined, [`netns add ${namespace}`, `netns set ${namespace} auto`]);
    steps.push({tool: 'sysctl', namespace, settings: namespaceSettings});
    ip(steps, namespace, ['link set lo up']);
  }
  const actual = found ?? noNamespace;
  const links = new Map(actual.links.map(link => [link.ifname, link]));
  const inside: string[] = [];

  const bridge = links.get(bridgeName);
  const newBridge = bridge?.linkinfo?.info_kind !== 'bridge';
  if (newBridge) {
    drift.device++;
    ip(steps, namespace, [
      ...(bridge === undefined ? [] : [`link del ${bridgeName}`]),
      `link add ${bridgeName} address ${bridgeMac} mtu ${mtu} type bridge mcast_snooping 0`,
    ]);
    // Requests for addresses on other hosts are answered at once, not within a second.
    steps.push({tool: 'sysctl', namespace, settings: [`net.ipv4.neigh.${bridgeName}.proxy_delay=0`]});
  }
  if (newBridge || !hasAddress(bridge, network.gateway)) {
    if (!newBridge) drift.device++;
    inside.push(`addr replace ${network.gateway}/32 dev ${bridgeName}`);
  }
  if (newBridge || !isUp(bridge) || bridge?.address !== bridgeMac || bridge.mtu !== mtu) {
    if (!newBridge) drift.device++;
    inside.push(`link set ${bridgeName} address ${bridgeMac} mtu ${mtu} up`);
  }

  const tunnel = links.get(vxlan.name);
  const newTunnel = !sameTunnel(tunnel, network);
  if (newTunnel) {
    drift.device++;
    if (tunnel !== undefined) ip(steps, namespace, [`link del ${vxlan.name}`]);
    // Made on the host, so that its socket stays there; then moved.
    ip(steps, undefined, [
      `link add ${vxlan.name} address ${vxlan.mac} mtu ${mtu} type vxlan id ${vxlan.vni} dstport ${vxlan.port} local ${vxlan.local} nolearning`,
      `link set ${vxlan.name} netns ${namespace}`,
    ]);
  }
  if (newTunnel || !isUp(tunnel) || tunnel?.address !== vxlan.mac || tunnel.mtu !== mtu) {
    if (!newTunnel) drift.device++;
    inside.push(`link set ${vxlan.name} address ${vxlan.mac} mtu ${mtu} up`);
  }

  planPorts(network, links, newBridge, inside, drift);
  const there: ActualNamespace = {
    ...actual,
    routes: actual.routes.filter(
      ({dev}) => !(newBridge && dev === bridgeName) && !(newTunnel && dev === vxlan.name),
    ),
    neighbours: newTunnel ? [] : actual.neighbours,
    fdb: newTunnel ? [] : actual.fdb,
  };
  planNeighbours(network, there, inside, drift);
  ip(steps, namespace, inside);
  planFdb(network, there, steps, drift);
  planRoutes(network, there, steps, drift);
}

function planPorts(
  {ports, mtu}: DesiredNetwork,
  links: ReadonlyMap<string, Link>,
  newBridge: boolean,
  lines: string[],
  drift: Record<DriftKind, number>,
): void {
  for (const [name, link] of links) {
    if (!name.startsWith('hwp')) continue;
    if (!ports.has(name)) {
      // What is no longer handed out here is cut off; the pair goes with its container.
      if (link.master !== undefined) lines.push(`link set ${name} nomaster down`);
      drift.port += link.master === undefined ? 0 : 1;
    } else if (newBridge || link.master !== bridgeName || !isUp(link) || link.mtu !== mtu) {
      drift.port++;
      lines.push(`link set ${name} master ${bridgeName} mtu ${mtu} up`);
    }
  }
}

function planNeighbours(
  {peers, vxlan}: DesiredNetwork,
  {neighbours}: ActualNamespace,
  lines: string[],
  drift: Record<DriftKind, number>,
): void {
  const seen = new Map<string, string>();
  for (const {dst, dev, lladdr} of neighbours) {
    if (dev !== vxlan.name) continue;
    if (peers.has(dst)) seen.set(dst, lladdr ?? '');
    else {
      drift.neighbour++;
      lines.push(`neigh del ${dst} dev ${vxlan.name}`);
    }
  }
  for (const [address, mac] of peers) {
    if (seen.get(address) === mac) continue;
    drift.neighbour++;
    lines.push(`neigh replace ${address} lladdr ${mac} dev ${vxlan.name} nud permanent`);
  }
}

function planFdb(
  {peers, vxlan, namespace}: DesiredNetwork,
  {fdb}: ActualNamespace,
  steps: Step[],
  drift: Record<DriftKind, number>,
): void {
  const wanted = new Map([...peers].map(([address, mac]) => [mac, address]));
  const lines: string[] = [];
  const right = new Set<string>();
  for (const {mac, dst, ifname} of fdb) {
    if (ifname !== vxlan.name) continue;
    if (wanted.get(mac) === dst) right.add(mac);
    else lines.push(`fdb del ${mac} dev ${vxlan.name} dst ${dst} self`);
  }
  for (const [mac, address] of wanted)
    if (!right.has(mac)) lines.push(`fdb append ${mac} dev ${vxlan.name} dst ${address} self permanent`);
  drift.fdb += lines.length;
  if (lines.length > 0) steps.push({tool: 'bridge', namespace, lines});
}

/** Last: a route to a peer makes packets go to it. */
function planRoutes(
  {routes, namespace}: DesiredNetwork,
  actual: ActualNamespace,
  steps: Step[],
  drift: Record<DriftKind, number>,
): void {
  const lines: string[] = [];
  const right = new Set<string>();
  for (const {dst, dev, gateway, metric} of actual.routes) {
    const route = routes.get(dst);
    if (route !== undefined && route.device === dev && route.via === gateway) right.add(dst);
    else if (route === undefined || metric !== undefined)
      lines.push(
        `route del ${dst}${dev === undefined ? '' : ` dev ${dev}`}${metric === undefined ? '' : ` metric ${metric}`}`,
      );
  }
  for (const [dst, route] of routes) if (!right.has(dst)) lines.push(`route replace ${dst} ${target(route)}`);
  drift.route += lines.length;
  ip(steps, namespace, lines);
}

function target({device, via}: Route): string {
  return via === undefined ? `dev ${device}` : `via ${via} dev ${device} onlink`;
}

function sameTunnel(link: Link | undefined, {vxlan}: DesiredNetwork): boolean {
  const {info_kind: kind, info_data: data} = link?.linkinfo ?? {};
  return (
    kind === 'vxlan' &&
    data?.id === vxlan.vni &&
    data.port === vxlan.port &&
    data.local === vxlan.local &&
    data.learning === false
  );
}

function hasAddress(link: Link | undefined, address: string): boolean {
  return link?.addr_info?.some(({local, prefixlen}) => local === address && prefixlen === 32) === true;
}

function isUp(link: Link | undefined): boolean {
  return link?.flags.includes('UP') === true;
}

function ip(steps: Step[], namespace: string | undefined, lines: readonly string[]): void {
  if (lines.length === 0) return;
  steps.push(namespace === undefined ? {tool: 'ip', lines} : {tool: 'ip', namespace, lines});
}
