/** The store on etcd. Plain keys and transactions only: no leases, no locks (DESIGN D5). */
import {Etcd3, Range, type IKeyValue, type IOptions} from 'etcd3';
import type {Change} from '../fleet.ts';
import {ServerError} from '../errors.ts';
import type {Entry, Listing, Store, WatchHandlers, Write} from '../ports.ts';

/** Keys of one page of a listing: a page stays well below gRPC's 4 MiB. */
const PAGE = 500;
const CALL_MS = 5000;

export interface EtcdOptions {
  readonly hosts: readonly string[];
  /** PEM. */
  readonly tls?: {
    readonly ca: Buffer;
    readonly certificate?: Buffer;
    readonly key?: Buffer;
    /** Name that is looked for in its certificate, where `hosts` has addresses. */
    readonly serverName?: string;
  };
}

/** Opens a client; nothing is dialled before the first call. */
export function createEtcdClient({hosts, tls}: EtcdOptions): Etcd3 {
  const options: IOptions = {
    hosts: [...hosts],
    dialTimeout: CALL_MS,
    defaultCallOptions: ({isStream}) => (isStream ? {} : {deadline: Date.now() + CALL_MS}),
  };
  if (tls === undefined) return new Etcd3(options);
  const {serverName} = tls;
  return new Etcd3({
    ...options,
    ...(serverName === undefined ? {} : {grpcOptions: {'grpc.ssl_target_name_override': serverName}}),
    credentials: {
      rootCertificate: tls.ca,
      ...(tls.key === undefined ? {} : {privateKey: tls.key}),
      ...(tls.certificate === undefined ? {} : {certChain: tls.certificate}),
    },
  });
}

/** The store over a client, which stays the caller's to close. */
export function createEtcdStore(client: Etcd3): Store {
  return {
    list: (prefix, atRevision) => list(client, prefix, atRevision),
    last: async (prefix, limit, before) => {
      const {start, end} = Range.prefix(prefix);
      const {kvs} = await answered(
        client.kv.range({
          key: Buffer.from(start),
          range_end: Buffer.from(before ?? end),
          limit,
          sort_order: 'Descend',
          sort_target: 'Key',
        }),
      );
      return kvs.map(entryOf);
    },
    get: async key => {
      const {kvs} = await answered(client.kv.range({key: Buffer.from(key)}));
      const [found] = kvs;
      return found === undefined ? undefined : entryOf(found);
    },
    commit: async writes => {
      const answer = await answered(
        client.kv.txn({
          compare: writes.flatMap(write => {
            if (!('expect' in write) || write.expect === undefined) return [];
            const key = Buffer.from(write.key);
            return [
              {key, target: 'Mod' as const, result: 'Equal' as const, mod_revision: String(write.expect)},
            ];
          }),
          success: writes.map(operationOf),
          failure: [],
        }),
      );
      return answer.succeeded ? BigInt(answer.header.revision) : undefined;
    },
    watch: (prefix, after, handlers) => watch(client, prefix, after, handlers),
  };
}

async function list(client: Etcd3, prefix: string, atRevision: bigint | undefined): Promise<Listing> {
  const {start, end} = Range.prefix(prefix);
  const entries: Entry[] = [];
  let key = Buffer.from(start);
  let revision = atRevision;
  for (;;) {
    const page = await answered(
      client.kv.range({
        key,
        range_end: Buffer.from(end),
        limit: PAGE,
        ...(revision === undefined ? {} : {revision: String(revision)}),
      }),
    );
    // Further pages show the same instant as the first.
    revision ??= BigInt(page.header.revision);
    for (const each of page.kvs) entries.push(entryOf(each));
    const last = page.kvs.at(-1);
    if (!page.more || last === undefined) return {entries, revision};
    key = Buffer.concat([last.key, Buffer.alloc(1)]);
  }
}

function operationOf(write: Write) {
  const key = Buffer.from(write.key);
  if ('value' in write) return {request_put: {key, value: Buffer.from(write.value)}};
  const until = 'until' in write ? {range_end: Buffer.from(write.until)} : {};
  return {request_delete_range: {key, ...until}};
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
    if (ended || events.length === 0) return;
    handlers.changed(events.map(event => changeOf(event)));
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
  const key = kv.key.toString();
  const revision = BigInt(kv.mod_revision);
  return type === 'Delete' ? {key, revision} : {key, value: kv.value.toString(), revision};
}

function entryOf(kv: IKeyValue): Entry {
  return {key: kv.key.toString(), value: kv.value.toString(), revision: BigInt(kv.mod_revision)};
}

async function answered<Answer>(call: Promise<Answer>): Promise<Answer> {
  try {
    return await call;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ServerError('store-unavailable', `etcd does not answer: ${why}`, {
      remedy: 'check that etcd runs and has a quorum',
      cause: error,
    });
  }
}
