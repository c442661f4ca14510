/** Networks: which may be made, and what they are called. Pure. */
import {
  OVERLAY_SCHEMA,
  type CreateNetworkRequest,
  type NameNetworkRequest,
  type OverlayNetwork,
} from '../common/contracts/overlay.ts';
import {
  contains,
  formatAddress,
  formatPrefix,
  overlaps,
  parseAddress,
  parsePrefix,
  type Prefix,
} from '../common/ipv4.ts';
import {networkOf, put, type Decision} from './decide.ts';
import {AllocatorError} from './errors.ts';
import {idOf, keyOf, networksPrefix} from './keys.ts';
import type {OverlayView} from './view.ts';

/** The first identifier; lower ones are what people choose by hand (flannel takes 1). */
const FIRST_VNI = 0x10_00_00;

/** Throws `bad-network`, `overlap`, `name-taken`. The same subnet again is the same network. */
export function createNetwork(
  view: OverlayView,
  wish: CreateNetworkRequest,
  by: string,
  now: Date,
): Decision<OverlayNetwork> {
  const subnet = parsePrefix(wish.subnet);
  if (subnet === undefined || subnet.length < 8 || subnet.length > 30)
    throw new AllocatorError('bad-network', `${wish.subnet} cannot be the subnet of a network`, {
      remedy: 'give a prefix of 8 to 30 bits with no bits set behind it, for instance 10.99.0.0/24',
    });
  const existing = view.networks.get(keyOf.network(idOf(wish.subnet)));
  if (existing !== undefined) return again(sameOr(existing, wish), wish, now);
  refuseOverlap(view, subnet);
  if (wish.name !== undefined) refuseName(view, wish.name);
  const network: OverlayNetwork = {
    schema: OVERLAY_SCHEMA,
    id: idOf(wish.subnet),
    vni: freeVni(view, wish.vni),
    subnet: wish.subnet,
    gateway: gatewayOf(subnet, wish.gateway),
    reserved: reservedOf(subnet, wish.reserved ?? []),
    ...(wish.name === undefined ? {} : {name: wish.name}),
    labels: wish.labels ?? {},
    internal: wish.internal ?? false,
    createdAt: now.toISOString(),
    createdBy: by,
    ...(wish.vni === undefined ? {} : {restored: now.toISOString()}),
  };
  const key = keyOf.network(network.id);
  return {result: network, writes: [put(key, network)], keys: [key], prefixes: [networksPrefix]};
}

/** Throws `name-taken`, `unknown-network`. */
export function nameNetwork(
  view: OverlayView,
  id: string,
  {name, labels, internal}: NameNetworkRequest,
): Decision<OverlayNetwork> {
  const network = networkOf(view, id);
  if (network.name === name) return {result: network, writes: [], keys: [], prefixes: []};
  if (network.name !== undefined)
    throw new AllocatorError(
      'name-taken',
      `the network with subnet ${network.subnet} is called ${network.name}`,
      {
        remedy: `call it ${network.name} here too, or give another --subnet`,
      },
    );
  refuseName(view, name);
  const named = {...network, name, labels, internal};
  return {
    result: named,
    writes: [put(keyOf.network(id), named)],
    keys: [keyOf.network(id)],
    prefixes: [networksPrefix],
  };
}

/** One restoration is told once for all hosts that say it within these. */
const RESTORED_SECONDS = 10;

/** A host that names the identifier had the network in a store that was lost or set back. */
function again(existing: OverlayNetwork, {vni}: CreateNetworkRequest, now: Date): Decision<OverlayNetwork> {
  const since = now.getTime() - Date.parse(existing.restored ?? '1970-01-01');
  if (vni === undefined || since < RESTORED_SECONDS * 1000)
    return {result: existing, writes: [], keys: [], prefixes: []};
  const restored = {...existing, restored: now.toISOString()};
  const key = keyOf.network(existing.id);
  return {result: restored, writes: [put(key, restored)], keys: [key], prefixes: []};
}

function sameOr(existing: OverlayNetwork, wish: CreateNetworkRequest): OverlayNetwork {
  if (wish.gateway !== undefined && wish.gateway !== existing.gateway)
    throw new AllocatorError(
      'overlap',
      `network ${existing.name ?? existing.id} has this subnet, and the gateway ${existing.gateway}`,
      {remedy: 'give the same gateway, or another --subnet'},
    );
  if (wish.name !== undefined && existing.name !== undefined && wish.name !== existing.name)
    throw new AllocatorError('overlap', `network ${existing.name} has the subnet ${existing.subnet}`, {
      remedy: 'give another --subnet',
    });
  return existing;
}

function refuseOverlap(view: OverlayView, subnet: Prefix): void {
  for (const key of view.unreadable.keys()) {
    const id = key.startsWith(networksPrefix) ? key.slice(networksPrefix.length) : '';
    const taken = parsePrefix(id.replace('-', '/'));
    if (taken !== undefined && !view.networks.has(key) && overlaps(taken, subnet))
      throw new AllocatorError(
        'overlap',
        `${formatPrefix(subnet)} overlaps a network whose record in etcd cannot be read (${key})`,
        {remedy: 'look at it with etcdctl get, and mend or delete it; or give another --subnet'},
      );
  }
  for (const other of view.networks.values()) {
    const taken = parsePrefix(other.subnet);
    if (taken !== undefined && overlaps(taken, subnet))
      throw new AllocatorError(
        'overlap',
        `${formatPrefix(subnet)} overlaps ${other.subnet} of network ${other.name ?? other.id}`,
        {remedy: 'give another --subnet; see hawser net ls'},
      );
  }
}

function refuseName(view: OverlayView, name: string): void {
  for (const other of view.networks.values())
    if (other.name === name)
      throw new AllocatorError(
        'name-taken',
        `a network ${name} exists already, with subnet ${other.subnet}`,
        {
          remedy: 'choose another name, or give that subnet to join it',
        },
      );
}

function freeVni(view: OverlayView, wanted: number | undefined): number {
  const taken = new Set([...view.networks.values()].map(({vni}) => vni));
  if (wanted !== undefined && !taken.has(wanted)) return wanted;
  let vni = FIRST_VNI;
  while (taken.has(vni)) vni++;
  return vni;
}

function gatewayOf(subnet: Prefix, wanted: string | undefined): string {
  if (wanted === undefined) return formatAddress(subnet.first + 1);
  const address = parseAddress(wanted);
  if (address !== undefined && contains(subnet, address)) return wanted;
  throw new AllocatorError('bad-network', `the gateway ${wanted} is not in ${formatPrefix(subnet)}`, {
    remedy: 'give one of its addresses, or none',
  });
}

function reservedOf(subnet: Prefix, reserved: readonly string[]): string[] {
  for (const each of reserved) {
    const prefix = parsePrefix(each);
    if (prefix === undefined || prefix.length < subnet.length || !overlaps(prefix, subnet))
      throw new AllocatorError('bad-network', `the reservation ${each} is not in ${formatPrefix(subnet)}`, {
        remedy: 'give addresses or prefixes within the subnet',
      });
  }
  return [...reserved];
}
