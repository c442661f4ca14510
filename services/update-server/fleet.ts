/**
 * The fleet in memory: a function of the values in etcd, built by applying them one by one in the order of their
 * revisions. Every server that has applied the same values gives the same answers. Pure: no clock, no store.
 */
import type {
  Assignment,
  Channel,
  Group,
  KnownRelease,
  MachineRecord,
  Rollout,
} from '../common/contracts/policy.ts';
import {codecs} from './codec.ts';
import {Crew, partOf} from './crew.ts';
import {ServerError} from './errors.ts';
import {effectiveLabels, membershipOf, type Membership} from './groups.ts';
import {nextHop, type Hop} from './hop.ts';
import {keyOf, splitKey, type Kind} from './keys.ts';
import type {Token} from './token-record.ts';

export interface Machine {
  readonly record: MachineRecord;
  readonly assignment: Assignment | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly membership: Membership;
}

/** A value with the revision at which it was written, as compare-and-swap needs it. */
export interface Change {
  readonly key: string;
  /** Absent: the key was deleted. */
  readonly value?: string;
  readonly revision: bigint;
}

export class Fleet {
  readonly releases = new Map<string, KnownRelease>();
  readonly channels = new Map<string, Channel>();
  readonly groups = new Map<string, Group>();
  readonly rollouts = new Map<string, Rollout>();
  readonly tokens = new Map<string, Token>();
  readonly assignments = new Map<string, Assignment>();
  readonly machines = new Map<string, Machine>();
  readonly crews = new Map<string, Crew>();
  /** Keys whose value this server cannot read. */
  readonly unreadable = new Map<string, ServerError>();
  readonly #revisions = new Map<string, bigint>();
  /** When keys were deleted, so that an older write that comes by late does not bring them back. */
  readonly #deleted = new Map<string, bigint>();
  readonly #members = new Map<string, Set<string>>();
  readonly #names = new Map<string, Set<string>>();
  readonly #hops = new Map<string, Hop>();
  readonly #forgiven = new Map<string, ReadonlySet<string>>();

  /** The revision of a key's value; 0 when there is none. */
  revisionOf(kind: Kind, name: string): bigint {
    return this.#revisions.get(keyOf(kind, name)) ?? 0n;
  }

  /** Throws what is wrong with a value that had to be read; does nothing when it was readable or is absent. */
  checkReadable(kind: Kind, name: string): void {
    const problem = this.unreadable.get(keyOf(kind, name));
    if (problem !== undefined) throw problem;
  }

  /** Whether there is a machine, or what operators decided about one, that this server cannot read. */
  hidesMachines(): boolean {
    for (const key of this.unreadable.keys()) {
      const kind = splitKey(key)?.kind;
      if (kind === 'machines' || kind === 'assignments') return true;
    }
    return false;
  }

  /** Machines (UUIDs) of a group. */
  membersOf(group: string): ReadonlySet<string> {
    return this.#members.get(group) ?? new Set();
  }

  /** UUIDs of the machines that report this name. */
  named(name: string): readonly string[] {
    return [...(this.#names.get(name) ?? [])];
  }

  /** As nextHop, remembered: thousands of machines stand at the same place. */
  hop(current: string, target: string): Hop {
    const key = `${current} ${target}`;
    let hop = this.#hops.get(key);
    if (hop === undefined) {
      if (this.#hops.size > 10_000) this.#hops.clear();
      this.#hops.set(key, (hop = nextHop(current, target, this.releases)));
    }
    return hop;
  }

  /**
   * Takes a change in; returns the groups whose rollout it may move. A change that is not newer than what is known
   * (our own write, come back by the watch) changes nothing.
   */
  apply(change: Change): readonly string[] {
    const place = splitKey(change.key);
    const known = this.#revisions.get(change.key) ?? this.#deleted.get(change.key) ?? -1n;
    if (place === undefined || change.revision <= known) return [];
    this.#revisions.set(change.key, change.revision);
    this.#deleted.delete(change.key);
    const before = this.unreadable.delete(change.key);
    if (change.value === undefined) {
      this.#revisions.delete(change.key);
      this.#deleted.set(change.key, change.revision);
      return this.#put(place.kind, place.name, undefined);
    }
    try {
      return this.#put(place.kind, place.name, {key: change.key, text: change.value});
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      this.unreadable.set(change.key, error);
      // A group that cannot be read any more must not be answered for by what it said before.
      return before ? [] : this.#put(place.kind, place.name, undefined);
    }
  }

  /** Replaces everything by what a new listing holds. */
  reset(changes: readonly Change[]): void {
    for (const map of [
      this.releases,
      this.channels,
      this.groups,
      this.rollouts,
      this.tokens,
      this.assignments,
      this.machines,
      this.crews,
      this.unreadable,
      this.#revisions,
      this.#deleted,
      this.#members,
      this.#names,
      this.#hops,
      this.#forgiven,
    ])
      map.clear();
    // Machines last: what they are counted by is there already.
    const late = changes.filter(({key}) => splitKey(key)?.kind === 'machines');
    for (const change of changes) if (splitKey(change.key)?.kind !== 'machines') this.apply(change);
    for (const change of late) this.apply(change);
  }

  #put(kind: Kind, name: string, stored: {key: string; text: string} | undefined): readonly string[] {
    switch (kind) {
      case 'releases':
        store(this.releases, name, stored && codecs.releases.decode(stored.key, stored.text));
        this.#hops.clear();
        for (const group of this.groups.keys()) this.#recount(group);
        return [...this.groups.keys()];
      case 'channels':
        store(this.channels, name, stored && codecs.channels.decode(stored.key, stored.text));
        return [...this.groups.values()].flatMap(({config, name: group}) =>
          config.channel === name ? [group] : [],
        );
      case 'groups':
        return this.#putGroup(name, stored && codecs.groups.decode(stored.key, stored.text));
      case 'rollouts':
        store(this.rollouts, name, stored && codecs.rollouts.decode(stored.key, stored.text));
        this.#recount(name);
        return [name];
      case 'tokens':
        store(this.tokens, name, stored && codecs.tokens.decode(stored.key, stored.text));
        return [];
      case 'assignments': {
        const assignment = stored && codecs.assignments.decode(stored.key, stored.text);
        store(this.assignments, name, assignment);
        const machine = this.machines.get(name);
        return machine === undefined ? [] : this.#putMachine(name, machine.record);
      }
      case 'machines':
        return this.#putMachine(name, stored && codecs.machines.decode(stored.key, stored.text));
      default:
        return kind satisfies never;
    }
  }

  #putGroup(name: string, group: Group | undefined): readonly string[] {
    const before = this.groups.get(name);
    store(this.groups, name, group);
    const same =
      before !== undefined &&
      group !== undefined &&
      JSON.stringify(before.config.selector) === JSON.stringify(group.config.selector);
    if (same) {
      this.#recount(name);
      return [name];
    }
    const touched = new Set([name]);
    for (const [uuid, {record}] of this.machines)
      for (const each of this.#putMachine(uuid, record)) touched.add(each);
    this.#recount(name);
    return [...touched];
  }

  #putMachine(uuid: string, record: MachineRecord | undefined): readonly string[] {
    const before = this.machines.get(uuid);
    const left = before?.membership.kind === 'in' ? before.membership.group : undefined;
    if (left !== undefined) {
      this.#members.get(left)?.delete(uuid);
      this.crews.get(left)?.remove(uuid);
    }
    if (before !== undefined) this.#names.get(before.record.report.name)?.delete(uuid);
    if (record === undefined) {
      this.machines.delete(uuid);
      return left === undefined ? [] : [left];
    }
    const assignment = this.assignments.get(uuid);
    const labels = effectiveLabels(record.report.labels, assignment);
    const membership: Membership =
      assignment?.forgotten === undefined
        ? membershipOf(labels, assignment?.group, this.groups)
        : {kind: 'none', problem: 'forgotten: its certificate is refused'};
    const machine: Machine = {record, assignment, labels, membership};
    this.machines.set(uuid, machine);
    insert(this.#names, record.report.name, uuid);
    if (membership.kind === 'none') return left === undefined ? [] : [left];
    insert(this.#members, membership.group, uuid);
    this.#join(machine, membership.group);
    return left === undefined || left === membership.group ? [membership.group] : [left, membership.group];
  }

  #recount(group: string): void {
    this.crews.delete(group);
    const rollout = this.rollouts.get(group);
    if (rollout === undefined) return;
    this.crews.set(group, new Crew(rollout));
    this.#forgiven.set(group, new Set(rollout.forgiven));
    for (const uuid of this.membersOf(group)) {
      const machine = this.machines.get(uuid);
      if (machine !== undefined) this.#join(machine, group);
    }
  }

  #join(machine: Machine, group: string): void {
    const rollout = this.rollouts.get(group);
    const crew = this.crews.get(group);
    if (rollout === undefined || crew === undefined) return;
    if (machine.assignment?.pin !== undefined || this.groups.get(group)?.config.pin !== undefined) return;
    if (this.hop(machine.record.report.version, rollout.version).kind === 'above') return;
    crew.add(partOf(machine, rollout, this.#forgiven.get(group) ?? new Set()));
  }
}

function store<Value>(map: Map<string, Value>, name: string, value: Value | undefined): void {
  if (value === undefined) map.delete(name);
  else map.set(name, value);
}

function insert(index: Map<string, Set<string>>, name: string, uuid: string): void {
  const found = index.get(name);
  if (found === undefined) index.set(name, new Set([uuid]));
  else found.add(uuid);
}
