/** The overlay as it stood at one revision of the store, and as the writes of one transaction will make it. Pure. */
import type {TSchema} from 'typebox';
import {Value} from 'typebox/value';
import {
  followedKinds,
  OverlayAlive,
  OverlayEndpoints,
  OverlayHost,
  OverlayLease,
  OverlayNetwork,
  overlayRoot,
  type OverlayItem,
} from '../common/contracts/overlay.ts';
import {epochKey, followedKey} from './keys.ts';
import type {Change, Entry, Write} from './ports.ts';

const schemas = {
  networks: OverlayNetwork,
  leases: OverlayLease,
  hosts: OverlayHost,
  alive: OverlayAlive,
  endpoints: OverlayEndpoints,
} as const;
type Kind = keyof typeof schemas;

/** Records by their key in etcd. A value that cannot be read spoils itself alone: the one before counts on, and it is listed. */
export class OverlayView {
  readonly networks = new Map<string, OverlayNetwork>();
  readonly leases = new Map<string, OverlayLease>();
  readonly hosts = new Map<string, OverlayHost>();
  readonly alive = new Map<string, OverlayAlive>();
  readonly endpoints = new Map<string, OverlayEndpoints>();
  /** Of every key, also of those that cannot be read. */
  readonly revisions = new Map<string, bigint>();
  readonly unreadable = new Map<string, string>();
  epoch = '';
  revision = 0n;

  static of(entries: readonly Entry[], revision: bigint): OverlayView {
    const view = new OverlayView();
    for (const entry of entries) view.apply(entry);
    view.revision = revision;
    return view;
  }

  /** A copy that can be changed on its own. */
  draft(): OverlayView {
    const copy = new OverlayView();
    for (const kind of kinds) {
      // The maps of one kind have one type; TypeScript sees the union of all.
      const from: ReadonlyMap<string, unknown> = this[kind];
      const to: Map<string, unknown> = copy[kind];
      for (const [key, value] of from) to.set(key, value);
    }
    for (const [key, revision] of this.revisions) copy.revisions.set(key, revision);
    for (const [key, why] of this.unreadable) copy.unreadable.set(key, why);
    copy.epoch = this.epoch;
    copy.revision = this.revision;
    return copy;
  }

  apply(change: Change): void {
    const {key, revision} = change;
    this.put(key, 'value' in change ? change.value : undefined);
    if ('value' in change) this.revisions.set(key, revision);
    else this.revisions.delete(key);
    if (revision > this.revision) this.revision = revision;
  }

  /** As the write will leave it; its revision is not known yet. */
  write(write: Write): void {
    if ('prefix' in write) {
      for (const key of this.revisions.keys()) if (key.startsWith(write.prefix)) this.put(key, undefined);
      return;
    }
    this.put(write.key, 'value' in write ? write.value : undefined);
  }

  private put(key: string, text: string | undefined): void {
    if (key === epochKey) {
      this.epoch = text ?? '';
      return;
    }
    const kind = kindOf(key);
    if (kind === undefined) return;
    const map: Map<string, unknown> = this[kind];
    this.unreadable.delete(key);
    if (text === undefined) {
      map.delete(key);
      return;
    }
    const value = parse(text);
    if (Value.Check<TSchema>(schemas[kind], value)) {
      map.set(key, value);
      return;
    }
    const [first] = Value.Errors<TSchema>(schemas[kind], value);
    this.unreadable.set(key, first === undefined ? 'not JSON' : `${first.instancePath} ${first.message}`);
  }

  /** All that hosts follow. */
  items(): OverlayItem[] {
    return followedKinds.flatMap(kind =>
      [...this[kind]].map(([key, value]) => ({kind, key: followedKey(key)?.key ?? key, value})),
    );
  }

  /** What stands under a key now, for hosts; undefined for what they do not follow. */
  itemOf(key: string): OverlayItem | undefined {
    const followed = followedKey(key);
    if (followed === undefined) return undefined;
    const value = this[followed.kind].get(key);
    return value === undefined ? followed : {...followed, value};
  }
}

const kinds = ['networks', 'leases', 'hosts', 'alive', 'endpoints'] as const satisfies readonly Kind[];

function kindOf(key: string): Kind | undefined {
  const rest = key.slice(overlayRoot.length);
  return kinds.find(kind => rest.startsWith(`${kind}/`));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
