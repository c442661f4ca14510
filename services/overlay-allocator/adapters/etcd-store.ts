/** The store on etcd: plain keys and transactions; never a lease (DESIGN D5). */
import {Range, type Etcd3, type ICompare, type IRequestOp} from 'etcd3';
import {listPrefix, watchPrefix, within} from '../../common/etcd-read.ts';
import {AllocatorError} from '../errors.ts';
import type {Guard, OverlayStore} from '../ports.ts';

/** `client` stays the caller's. */
export function createEtcdStore(client: Etcd3): OverlayStore {
  return {
    list: prefix => reach(listPrefix(client, prefix)),
    commit: async (writes, guards) => {
      const success = writes.map((write): IRequestOp => {
        if ('prefix' in write) {
          const {start, end} = Range.prefix(write.prefix);
          return {request_delete_range: {key: Buffer.from(start), range_end: Buffer.from(end)}};
        }
        const key = Buffer.from(write.key);
        return 'value' in write
          ? {request_put: {key, value: Buffer.from(write.value)}}
          : {request_delete_range: {key}};
      });
      const answer = await reach(
        client.kv.txn({compare: guards.map(compareOf), success, failure: []}, within()),
      );
      return answer.succeeded ? BigInt(answer.header.revision) : undefined;
    },
    watch: (prefix, after, handlers) => watchPrefix(client, prefix, after, handlers),
  };
}

function compareOf(guard: Guard): ICompare {
  if ('key' in guard)
    return {
      key: Buffer.from(guard.key),
      target: 'Mod',
      result: 'Equal',
      mod_revision: String(guard.revision),
    };
  const {start, end} = Range.prefix(guard.prefix);
  return {
    key: Buffer.from(start),
    range_end: Buffer.from(end),
    target: 'Mod',
    result: 'Less',
    mod_revision: String(guard.unchangedSince + 1n),
  };
}

async function reach<Answer>(call: Promise<Answer>): Promise<Answer> {
  try {
    return await call;
  } catch (error) {
    throw new AllocatorError('unreachable', 'etcd does not answer', {
      remedy: 'see that a majority of its members runs and can be reached; containers keep what they have',
      cause: error,
    });
  }
}
