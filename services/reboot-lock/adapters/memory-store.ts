/** A store in memory: for tests, with the same rules as etcd's. */
import type {AuditEntry, LockStore} from '../ports.ts';
import {encodeLock} from '../record.ts';
import {lockPrefix, snapshotOf, type RawLock} from '../snapshot.ts';

export interface MemoryStore extends LockStore {
  /** Puts any text under a group's key. */
  put(group: string, value: string): void;
  readonly audit: readonly AuditEntry[];
}

export function createMemoryStore(): MemoryStore {
  let revision = 1;
  const values = new Map<string, RawLock>();
  const audit: AuditEntry[] = [];
  const put = (group: string, value: string) => {
    const key = `${lockPrefix}${group}`;
    revision++;
    values.set(key, {key, value, revision: String(revision)});
    return String(revision);
  };
  return {
    audit,
    put: (group, value) => void put(group, value),
    read: () => Promise.resolve(snapshotOf(String(revision), [...values.values()])),
    change: ({seen, next, allGroups, audit: entries}) => {
      const now = values.get(`${lockPrefix}${next.group}`)?.revision ?? '0';
      const entry = seen.groups.get(next.group);
      const then = entry === undefined ? '0' : entry.kind === 'readable' ? entry.revision : 'unreadable';
      const newest = [...values.values()].every(raw => BigInt(raw.revision) <= BigInt(seen.revision));
      if (now !== then || (allGroups && !newest)) return Promise.resolve(undefined);
      audit.push(...entries);
      return Promise.resolve(put(next.group, encodeLock(next)));
    },
  };
}
