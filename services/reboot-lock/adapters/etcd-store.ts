/**
 * The store in etcd: one plain key a group, changed by compare-and-swap on its modification revision. Never a lease:
 * it would lapse during the very reboot that the slot covers (DESIGN D5).
 */
import {randomUUID} from 'node:crypto';
import type {ICompare, IRequestOp, KVClient} from 'etcd3';
import type {AuditRecord} from '../../common/contracts/audit.ts';
import {LockError} from '../errors.ts';
import type {AuditEntry, LockStore} from '../ports.ts';
import {encodeLock} from '../record.ts';
import {auditPrefix, lockPrefix, snapshotOf} from '../snapshot.ts';

/** The calls of an etcd client that are used. */
export interface EtcdKv {
  readonly kv: Pick<KVClient, 'range' | 'txn'>;
}

const CALL_MS = 5000;

/** `client` stays the caller's. */
export function createEtcdStore(client: EtcdKv): LockStore {
  return {
    async read() {
      const range = {key: Buffer.from(lockPrefix), range_end: prefixEnd(lockPrefix)};
      const answer = await reach(client.kv.range(range, within()));
      return snapshotOf(
        answer.header.revision,
        answer.kvs.map(({key, value, mod_revision}) => ({
          key: key.toString('utf8'),
          value: value.toString('utf8'),
          revision: mod_revision,
        })),
      );
    },
    async change({seen, next, allGroups, audit}) {
      const key = Buffer.from(`${lockPrefix}${next.group}`);
      const entry = seen.groups.get(next.group);
      if (entry?.kind === 'unreadable') throw entry.error;
      // etcd: the modification revision of a key that does not exist is 0.
      const compare: ICompare[] = [
        {key, target: 'Mod', result: 'Equal', mod_revision: entry?.revision ?? '0'},
      ];
      if (allGroups) {
        compare.push({
          key: Buffer.from(lockPrefix),
          range_end: prefixEnd(lockPrefix),
          target: 'Mod',
          result: 'Less',
          mod_revision: String(BigInt(seen.revision) + 1n),
        });
      }
      const puts = [{key, value: Buffer.from(encodeLock(next))}, ...audit.map(auditPut)];
      const success: IRequestOp[] = puts.map(put => ({request_put: put}));
      const answer = await reach(client.kv.txn({compare, success, failure: []}, within()));
      return answer.succeeded ? answer.header.revision : undefined;
    },
  };
}

function auditPut({at, actor, action, group, machine, reason}: AuditEntry): {key: Buffer; value: Buffer} {
  const record: AuditRecord = {
    schema: 1,
    at,
    by: actor,
    action,
    subject: `locks/${group}`,
    machine,
    detail: reason,
  };
  return {
    key: Buffer.from(`${auditPrefix}${at}-${randomUUID()}`),
    value: Buffer.from(JSON.stringify(record)),
  };
}

/** etcd: a range that ends at the prefix with its last byte one higher holds all keys with the prefix. */
function prefixEnd(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return end;
}

function within(): {deadline: number} {
  return {deadline: Date.now() + CALL_MS};
}

async function reach<Answer>(call: Promise<Answer>): Promise<Answer> {
  try {
    return await call;
  } catch (error) {
    throw new LockError('unreachable', 'etcd does not answer', {
      remedy: 'see that a majority of its members runs and can be reached; slots stay as they are',
      cause: error,
    });
  }
}
