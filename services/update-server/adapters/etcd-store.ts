/** The store on etcd. Plain keys and transactions only: no leases, no locks (DESIGN D5). */
import {Etcd3, Range, type IOptions} from 'etcd3';
import {CALL_MS, entryOf, listPrefix, watchPrefix, within} from '../../common/etcd-read.ts';
import {ServerError} from '../errors.ts';
import type {Store, Write} from '../ports.ts';

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
    defaultCallOptions: ({isStream}) => (isStream ? {} : within()),
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
    list: (prefix, atRevision) => answered(listPrefix(client, prefix, atRevision)),
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
    watch: (prefix, after, handlers) => watchPrefix(client, prefix, after, handlers),
  };
}

function operationOf(write: Write) {
  const key = Buffer.from(write.key);
  if ('value' in write) return {request_put: {key, value: Buffer.from(write.value)}};
  const until = 'until' in write ? {range_end: Buffer.from(write.until)} : {};
  return {request_delete_range: {key, ...until}};
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
