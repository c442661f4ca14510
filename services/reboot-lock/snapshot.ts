/** From the store's raw values to groups, and questions to them. Pure. */
import {LockError} from './errors.ts';
import type {GroupEntry, LockSnapshot} from './ports.ts';
import {decodeLock, emptyLock, type Holder, type LockState} from './record.ts';

export const lockPrefix = '/hawser/v1/locks/';
export const auditPrefix = '/hawser/v1/audit/';

export interface RawLock {
  readonly key: string;
  readonly value: string;
  readonly revision: string;
}

/** A value that cannot be read spoils its own group only. */
export function snapshotOf(revision: string, values: readonly RawLock[]): LockSnapshot {
  return {
    revision,
    groups: new Map(values.map(raw => [raw.key.slice(lockPrefix.length), entryOf(raw)] as const)),
  };
}

function entryOf({key, value, revision}: RawLock): GroupEntry {
  try {
    const state = decodeLock(value, revision, key);
    if (`${lockPrefix}${state.group}` === key) return {kind: 'readable', state, revision};
    const error = new LockError('damaged-value', `${key} holds the lock of group ${state.group}`, {
      remedy: 'look at it with etcdctl get; nothing was changed',
    });
    return {kind: 'unreadable', error};
  } catch (error) {
    if (error instanceof LockError) return {kind: 'unreadable', error};
    throw error;
  }
}

/** The group's state, empty when it never had a holder. Throws why it cannot be read. */
export function stateOf(snapshot: LockSnapshot, group: string): LockState {
  const entry = snapshot.groups.get(group);
  if (entry === undefined) return emptyLock(group);
  if (entry.kind === 'unreadable') throw entry.error;
  return entry.state;
}

/** Holders of all other groups. Throws where one cannot be read: a quorum cannot be judged then. */
export function holdersElsewhere(snapshot: LockSnapshot, group: string): Holder[] {
  const others = [...snapshot.groups.keys()].filter(name => name !== group);
  return others.flatMap(name => stateOf(snapshot, name).holders);
}

/** The group in which a machine holds a slot, which need not be the one that it belongs to now. */
export function groupHolding(snapshot: LockSnapshot, machine: string): string | undefined {
  for (const [group, entry] of snapshot.groups) {
    if (entry.kind === 'readable' && entry.state.holders.some(holder => holder.machine === machine))
      return group;
  }
  return undefined;
}
