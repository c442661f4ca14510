/** The store on etcd: plain keys and transactions; never a lease (DESIGN D5). */
import {Range, type Etcd3, type ICompare, type IKeyValue, type IRequestOp} from 'etcd3';
import {AllocatorError} from '../errors.ts';
import type {Change, Entry, Guard, OverlayStore, WatchHandlers} from '../ports.ts';

/** Keys of one page of a listing: a page stays well below gRPC's 4 MiB. */
const PAGE = 500;
const CALL_MS = 5000;

/** `client` stays the caller's. */
export function createEtcdStore(client: Etcd3): OverlayStore {
  return {
    list: async prefix => {
      const {start, end} = Range.prefix(prefix);
      const entries: Entry[] = [];
      let key = Buffer.from(start);
      let revision: string | undefined;
      for (;;) {
        const page = await reach(
          client.kv.range(
            {key, range_end: Buffer.from(end), limit: PAGE, ...(revision === undefined ? {} : {revision})},
            within(),
          ),
        );
        // Further pages show the same instant as the first.
        revision ??= page.header.revision;
        for (const each of page.kvs) entries.push(entryOf(each));
        const last = page.kvs.at(-1);
        if (!page.more || last === undefined) return {entries, revision: BigInt(revision)};
        key = Buffer.concat([last.key, Buffer.alloc(1)]);
      }
    },
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
    watch: (prefix, after, handlers) => watch(client, prefix, after, handlers),
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

function watch(client: Etcd3, prefix: string, after: bigint, handlers: WatchHandlers): () => void {
  let ended = false;
  const watcher = client
    .watch()
    .prefix(prefix)
    .startRevision(String(after + 1n))
    .watcher();
  watcher.on('connected', () => void (ended || handlers.connected()));
  watcher.on('disconnected', () => void (ended || handlers.disconnected()));
  watcher.on('data', ({events}) => {
    if (!ended && events.length > 0) handlers.changed(events.map(event => changeOf(event)));
  });
  // etcd cancels a watch from a compacted revision; etcd3 tells that as an error and does not go on.
  watcher.on('error', error => {
    if (ended) return;
    ended = true;
    handlers.lost(error);
  });
  return () => {
    if (ended) return;
    ended = true;
    watcher.cancel().catch(() => undefined); // the stream may be down, which ends the watch as well
  };
}

function changeOf({type, kv}: {readonly type: string; readonly kv: IKeyValue}): Change {
  return type === 'Delete' ? {key: kv.key.toString(), revision: BigInt(kv.mod_revision)} : entryOf(kv);
}

function entryOf(kv: IKeyValue): Entry {
  return {key: kv.key.toString(), value: kv.value.toString(), revision: BigInt(kv.mod_revision)};
}

function within(): {deadline: number} {
  return {deadline: Date.now() + CALL_MS};
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
