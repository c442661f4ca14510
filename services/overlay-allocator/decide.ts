/**
 * What each wish of a machine changes, or why not: rules of networks and blocks as data in, data out. Every decision
 * names what it rests on (its guards), so that the transaction fails if that has changed.
 */
import {
  OVERLAY_SCHEMA,
  type AnnounceRequest,
  type ClaimRequest,
  type EndpointsRequest,
  type OverlayLease,
  type OverlayNetwork,
  type ReleaseBlockRequest,
} from '../common/contracts/overlay.ts';
import {contains, formatPrefix, parseAddress, parsePrefix, sizeOf, type Prefix} from '../common/ipv4.ts';
import {
  chooseBlock,
  isUsable,
  single,
  takeBlock,
  usableCount,
  type Choice,
  type Field,
  type Held,
} from './blocks.ts';
import {AllocatorError} from './errors.ts';
import {endpointsPrefix, keyOf, leasesPrefix} from './keys.ts';
import type {Write} from './ports.ts';
import type {OverlayView} from './view.ts';

/** Seconds of silence after which a machine's blocks may go to others. */
export const graceSeconds = 24 * 3600;
export const renewSeconds = 60;
/**
 * Two machines that give themselves out for one are told apart while both speak: longer than between announcements, so
 * that the one that was there first stays.
 */
const duplicateSeconds = 90;
/** After a network came back from hosts' memory: until all have said again which blocks they hold. */
const settleSeconds = 60;

export interface Machine {
  readonly uuid: string;
  readonly name: string;
}

export interface Decision<Result> {
  readonly result: Result;
  readonly writes: readonly Write[];
  /** Keys that must stand as they were read, and prefixes below which nothing may be new. */
  readonly keys: readonly string[];
  readonly prefixes: readonly string[];
}

export function put(key: string, value: object): Write {
  return {key, value: JSON.stringify(value)};
}

/** Where a machine is reached. Throws `duplicate-machine`. */
export function announce(
  view: OverlayView,
  machine: Machine,
  {address, mtu, boot, faults = []}: AnnounceRequest,
  now: Date,
): Decision<undefined> {
  const [hostKey, aliveKey] = [keyOf.host(machine.uuid), keyOf.alive(machine.uuid)];
  const before = view.alive.get(aliveKey);
  const [host, elsewhere] = [
    view.hosts.get(hostKey),
    [...view.hosts.values()].find(other => other.address === address && other.machine !== machine.uuid),
  ];
  if (before !== undefined && before.boot !== boot && host !== undefined && host.address !== address) {
    if (now.getTime() - Date.parse(before.seen) < duplicateSeconds * 1000)
      throw new AllocatorError(
        'duplicate-machine',
        `machine ${machine.uuid} is at ${host.address} and at ${address}`,
        {remedy: 'two machines run with one identity: remove one of them and create it anew'},
      );
  }
  if (elsewhere !== undefined && !isExpired(view, elsewhere.machine, now))
    throw new AllocatorError(
      'duplicate-machine',
      `${address} is the address of machine ${elsewhere.name} (${elsewhere.machine})`,
      {
        remedy:
          'give each machine an address of its own in /etc/hawser/overlay.json, or wait until the other one is forgotten',
      },
    );
  const next = {schema: OVERLAY_SCHEMA, machine: machine.uuid, name: machine.name, address, mtu};
  const same = host?.address === address && host.mtu === mtu && host.name === machine.name;
  return {
    result: undefined,
    writes: [
      put(aliveKey, {schema: OVERLAY_SCHEMA, machine: machine.uuid, boot, seen: now.toISOString(), faults}),
      ...(same ? [] : [put(hostKey, next)]),
    ],
    keys: [aliveKey],
    prefixes: same ? [] : [hostsOf],
  };
}
const hostsOf = keyOf.host('');

/** A block for a machine. Throws `unknown-network`, `not-announced`, `settling`, `exhausted`, `scarce`, `address-held`. */
export function claim(
  view: OverlayView,
  {uuid}: Machine,
  wish: ClaimRequest,
  now: Date,
): Decision<OverlayLease> {
  const network = networkOf(view, wish.network);
  if (!view.alive.has(keyOf.alive(uuid)))
    throw new AllocatorError('not-announced', `machine ${uuid} has not said where it is`, {
      remedy: 'its overlay agent has to announce it first',
    });
  const field = fieldOf(view, network, now);
  if (wish.block === undefined && isSettling(network, now))
    throw new AllocatorError(
      'settling',
      `network ${network.name ?? network.id} came back from a store that was lost: its hosts are still saying what they hold`,
      {remedy: `try again in ${settleSeconds} s`},
    );
  const choice = choose(field, uuid, wish, network);
  if ('lease' in choice) return {result: choice.lease, writes: [], keys: [], prefixes: []};
  const lease: OverlayLease = {
    schema: OVERLAY_SCHEMA,
    network: network.id,
    block: formatPrefix(choice.block),
    machine: uuid,
    since: now.toISOString(),
  };
  const owners = choice.instead.filter(({standing}) => standing === 'expired').map(({machine}) => machine);
  return {
    result: lease,
    writes: [
      ...choice.instead.map(({key}): Write => ({key, delete: true})),
      put(keyOf.lease(network.id, lease.block), lease),
    ],
    // An expired machine that was heard of meanwhile keeps what it has.
    keys: [keyOf.network(network.id), ...owners.map(owner => keyOf.alive(owner))],
    prefixes: [leasesPrefix(network.id)],
  };

  function choose(
    from: Field,
    machine: string,
    {address, block, spare}: ClaimRequest,
    {name, id}: OverlayNetwork,
  ): Choice | {readonly lease: OverlayLease} {
    const wanted =
      block === undefined
        ? address === undefined
          ? undefined
          : single(numberOf(address))
        : parsePrefix(block);
    if (wanted !== undefined) {
      if (address !== undefined && !isUsable(from, numberOf(address)))
        throw new AllocatorError(
          'address-held',
          `${address} is not for containers of network ${name ?? id}`,
          {
            remedy: `choose one in ${network.subnet} besides its first, its last and the gateway`,
          },
        );
      const taken = takeBlock(readable(from, block), machine, wanted);
      if (!('by' in taken)) return taken;
      const lease = view.leases.get(taken.by.key);
      if (lease?.machine === machine) return {lease};
      throw new AllocatorError(
        'address-held',
        `${address ?? block} belongs to machine ${nameOf(view, taken.by.machine)} (block ${lease?.block})`,
        {remedy: 'choose another address, or reserve it when the network is made (--aux-address)'},
      );
    }
    if (spare === true && heldCount(from) * 2 >= usableCount(from))
      throw new AllocatorError('scarce', `half of network ${name ?? id} is in use: no blocks in advance`);
    const found = chooseBlock(from, machine);
    if (found !== undefined) return found;
    throw new AllocatorError('exhausted', `network ${name ?? id} (${network.subnet}) has no addresses left`, {
      remedy: 'see who holds them with hawser net inspect; make another, larger network',
    });
  }
}

/** Only who held a block before asks for it as a block: it may write anew what cannot be read. */
function readable(field: Field, block: string | undefined): Field {
  if (block === undefined) return field;
  const wanted = parsePrefix(block);
  const spoilt = ({machine, block: {first, length}}: Held): boolean =>
    machine === unknownMachine && first === wanted?.first && length === wanted.length;
  return {...field, held: field.held.filter(each => !spoilt(each))};
}

/** Gives a block back. Fine when the machine does not hold it. */
export function release(
  view: OverlayView,
  {uuid}: Machine,
  {network, block}: ReleaseBlockRequest,
  now: Date,
): Decision<undefined> {
  const key = keyOf.lease(network, block);
  const lease = view.leases.get(key);
  if (lease?.machine !== uuid || lease.released !== undefined)
    return {result: undefined, writes: [], keys: [], prefixes: []};
  return {
    result: undefined,
    writes: [put(key, {...lease, released: now.toISOString()})],
    keys: [key],
    prefixes: [],
  };
}

/** What a machine has on a network. Throws `unknown-network`. */
export function setEndpoints(
  view: OverlayView,
  {uuid}: Machine,
  {network, endpoints}: EndpointsRequest,
): Decision<undefined> {
  const key = keyOf.endpoints(network, uuid);
  const {id} = networkOf(view, network);
  const own = [...view.leases.values()].filter(each => each.network === id && each.machine === uuid);
  const blocks = own.flatMap(({block}) => parsePrefix(block) ?? []);
  // A machine speaks for its own addresses alone.
  const said = endpoints.filter(({address}) => blocks.some(block => contains(block, numberOf(address))));
  const value = {schema: OVERLAY_SCHEMA, network, machine: uuid, endpoints: said};
  if (JSON.stringify(view.endpoints.get(key)) === JSON.stringify(value))
    return {result: undefined, writes: [], keys: [], prefixes: []};
  const writes: Write[] =
    said.length > 0 ? [put(key, value)] : view.endpoints.has(key) ? [{key, delete: true}] : [];
  return {result: undefined, writes, keys: [keyOf.network(id)], prefixes: []};
}

/** Throws `in-use` while containers are on it; removes what belongs to it. */
export function removeNetwork(view: OverlayView, id: string, except?: string): Decision<undefined> {
  const network = view.networks.get(keyOf.network(id));
  if (network === undefined) return {result: undefined, writes: [], keys: [], prefixes: []};
  const users = [...view.endpoints.values()].filter(each => each.network === id && each.machine !== except);
  if (users.length > 0) {
    const where = users.map(({machine, endpoints}) => `${nameOf(view, machine)} (${endpoints.length})`);
    throw new AllocatorError(
      'in-use',
      `network ${network.name ?? id} has containers on ${where.join(', ')}`,
      {
        remedy: 'stop or disconnect them first',
      },
    );
  }
  return {
    result: undefined,
    writes: [
      {key: keyOf.network(id), delete: true},
      {prefix: leasesPrefix(id), delete: true},
      {prefix: endpointsPrefix(id), delete: true},
    ],
    keys: [keyOf.network(id)],
    prefixes: [endpointsPrefix(id), leasesPrefix(id)],
  };
}

/** As many keys of a machine as one transaction may remove. */
const FORGET_AT_ONCE = 100;

/** A machine is gone for good: what is of it is forgotten. `more`: not all of it yet. */
export function forgetMachine(view: OverlayView, uuid: string): Decision<{readonly more: boolean}> {
  const keys = [
    ...[...view.leases].filter(([, lease]) => lease.machine === uuid).map(([key]) => key),
    ...[...view.endpoints].filter(([, {machine}]) => machine === uuid).map(([key]) => key),
    ...[keyOf.host(uuid), keyOf.alive(uuid)].filter(key => view.revisions.has(key)),
  ];
  return {
    result: {more: keys.length > FORGET_AT_ONCE},
    writes: keys.slice(0, FORGET_AT_ONCE).map(key => ({key, delete: true})),
    keys: [],
    prefixes: [],
  };
}

export function networkOf(view: OverlayView, id: string): OverlayNetwork {
  const network = view.networks.get(keyOf.network(id));
  if (network !== undefined) return network;
  throw new AllocatorError('unknown-network', `there is no network ${id}`, {
    remedy: 'see hawser net ls; it may have been removed',
  });
}

/** The network's addresses, and who holds which. */
export function fieldOf(view: OverlayView, network: OverlayNetwork, now: Date): Field {
  const held: Held[] = [];
  for (const key of view.unreadable.keys()) {
    // Somebody's, whoever it is: what its key names is not given to another.
    const block = key.startsWith(leasesPrefix(network.id)) ? blockIn(key) : undefined;
    if (block !== undefined && !view.leases.has(key))
      held.push({key, block, machine: unknownMachine, standing: 'held', at: 0});
  }
  for (const [key, lease] of view.leases) {
    const block = lease.network === network.id ? parsePrefix(lease.block) : undefined;
    if (block === undefined) continue;
    const expired = isExpired(view, lease.machine, now);
    const standing = lease.released === undefined ? (expired ? 'expired' : 'held') : 'released';
    held.push({key, block, machine: lease.machine, standing, at: lastOf(view, lease)});
  }
  return {
    subnet: parsePrefix(network.subnet) ?? single(0),
    gateway: numberOf(network.gateway),
    reserved: network.reserved.flatMap(each => parsePrefix(each) ?? []),
    held,
  };
}

/** Addresses in blocks that machines hold. */
export function heldCount({held}: Field): number {
  return held.reduce((sum, {standing, block}) => (standing === 'released' ? sum : sum + sizeOf(block)), 0);
}

/** Of a lease that cannot be read. */
const unknownMachine = '(unreadable)';

function blockIn(key: string): Prefix | undefined {
  return parsePrefix(key.slice(key.lastIndexOf('/') + 1).replace('-', '/'));
}

function isSettling({restored}: OverlayNetwork, now: Date): boolean {
  return restored !== undefined && now.getTime() - Date.parse(restored) < settleSeconds * 1000;
}

function lastOf(view: OverlayView, {machine, released, since}: OverlayLease): number {
  return Date.parse(released ?? view.alive.get(keyOf.alive(machine))?.seen ?? since);
}

function isExpired(view: OverlayView, machine: string, now: Date): boolean {
  const alive = view.alive.get(keyOf.alive(machine));
  return alive === undefined || now.getTime() - Date.parse(alive.seen) > graceSeconds * 1000;
}

function nameOf(view: OverlayView, machine: string): string {
  return view.hosts.get(keyOf.host(machine))?.name ?? machine;
}

/** Schemas have checked it. */
function numberOf(address: string): number {
  return parseAddress(address) ?? 0;
}
