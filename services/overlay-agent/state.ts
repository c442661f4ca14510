/** What this host knows of the overlay: the last that the server told it. Pure. */
import {Type, type Static, type TSchema} from 'typebox';
import {Value} from 'typebox/value';
import {
  OverlayEndpoints,
  OverlayHost,
  OverlayLease,
  OverlayNetwork,
  type OverlayItem,
  type OverlayState,
  type WatchLine,
} from '../common/contracts/overlay.ts';

const schemas = {
  networks: OverlayNetwork,
  leases: OverlayLease,
  hosts: OverlayHost,
  endpoints: OverlayEndpoints,
} as const;

const known = {
  schema: Type.Literal(1),
  epoch: Type.String(),
  revision: Type.String({pattern: '^[0-9]{1,20}$'}),
  networks: Type.Array(OverlayNetwork),
  leases: Type.Array(OverlayLease),
  hosts: Type.Array(OverlayHost),
  endpoints: Type.Array(OverlayEndpoints),
};
/** The file in which it survives a restart; with what a store that was lost held, until all of it has been said again. */
export const StoredState = Type.Object({...known, before: Type.Optional(Type.Object(known))});
export type StoredState = Static<typeof StoredState>;

export class FollowedState implements OverlayState {
  readonly networks = new Map<string, OverlayNetwork>();
  readonly leases = new Map<string, OverlayLease>();
  readonly hosts = new Map<string, OverlayHost>();
  readonly endpoints = new Map<string, OverlayEndpoints>();
  epoch = '';
  revision = 0n;

  /** Everything, as a line of the watch tells it. */
  static from(line: Extract<WatchLine, {kind: 'all'}>): FollowedState {
    const state = new FollowedState();
    state.epoch = line.epoch;
    state.take(line);
    return state;
  }

  take({items, revision}: {readonly items: readonly OverlayItem[]; readonly revision: string}): void {
    for (const item of items) this.put(item);
    this.revision = BigInt(revision);
  }

  /** Whether `next` is of another store than this, or of one that was set back. */
  isLostIn(next: FollowedState): boolean {
    return this.epoch !== '' && (next.epoch !== this.epoch || next.revision < this.revision);
  }

  /** This, and what `before` knew besides. */
  over(before: FollowedState): FollowedState {
    const state = FollowedState.of(before.stored());
    for (const kind of kinds) for (const [key, value] of this[kind]) state.put({kind, key, value});
    state.epoch = this.epoch;
    state.revision = this.revision;
    return state;
  }

  /** A value that does not fit is left out: the one before counts on. */
  put({kind, key, value}: OverlayItem): void {
    // The maps of one kind have one type; TypeScript sees the union of all.
    const map: Map<string, unknown> = this[kind];
    if (value === undefined) map.delete(key);
    else if (Value.Check<TSchema>(schemas[kind], value)) map.set(key, value);
  }

  /** What an answer of the server told before the watch did. */
  learn(record: {readonly network: OverlayNetwork} | {readonly lease: OverlayLease}): void {
    if ('network' in record) this.networks.set(record.network.id, record.network);
    else this.leases.set(leaseKey(record.lease), record.lease);
  }

  stored(): Omit<StoredState, 'before'> {
    return {
      schema: 1,
      epoch: this.epoch,
      revision: String(this.revision),
      networks: [...this.networks.values()],
      leases: [...this.leases.values()],
      hosts: [...this.hosts.values()],
      endpoints: [...this.endpoints.values()],
    };
  }

  static of(stored: StoredState): FollowedState {
    const state = new FollowedState();
    state.epoch = stored.epoch;
    state.revision = BigInt(stored.revision);
    for (const network of stored.networks) state.networks.set(network.id, network);
    for (const lease of stored.leases) state.leases.set(leaseKey(lease), lease);
    for (const host of stored.hosts) state.hosts.set(host.machine, host);
    for (const each of stored.endpoints) state.endpoints.set(`${each.network}/${each.machine}`, each);
    return state;
  }
}

const kinds = ['networks', 'leases', 'hosts', 'endpoints'] as const;

function leaseKey({network, block}: OverlayLease): string {
  return `${network}/${block.replace('/', '-')}`;
}
