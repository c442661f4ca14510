/** How stores read etcd: all keys of a prefix at one instant, and their changes from then on. */
import {Range, type Etcd3, type IKeyValue} from 'etcd3';

/** Keys of one page of a listing: a page stays well below gRPC's 4 MiB. */
const PAGE = 500;
export const CALL_MS = 5000;

export interface EtcdEntry {
  readonly key: string;
  readonly value: string;
  /** etcd's mod_revision. */
  readonly revision: bigint;
}

/** Without a value: the key was deleted. */
export type EtcdChange = EtcdEntry | {readonly key: string; readonly revision: bigint};

export interface EtcdWatchHandlers {
  readonly changed: (changes: readonly EtcdChange[]) => void;
  readonly connected: () => void;
  readonly disconnected: () => void;
  readonly lost: (error: Error) => void;
}

/** Of one call. */
export function within(): {deadline: number} {
  return {deadline: Date.now() + CALL_MS};
}

/** All keys with the prefix, as they are at `atRevision` or now. Throws what etcd3 throws. */
export async function listPrefix(
  client: Pick<Etcd3, 'kv'>,
  prefix: string,
  atRevision?: bigint,
): Promise<{entries: EtcdEntry[]; revision: bigint}> {
  const {start, end} = Range.prefix(prefix);
  const entries: EtcdEntry[] = [];
  let key = Buffer.from(start);
  let revision = atRevision;
  for (;;) {
    const at = revision === undefined ? {} : {revision: String(revision)};
    const page = await client.kv.range({key, range_end: Buffer.from(end), limit: PAGE, ...at}, within());
    // Further pages show the same instant as the first.
    revision ??= BigInt(page.header.revision);
    for (const each of page.kvs) entries.push(entryOf(each));
    const last = page.kvs.at(-1);
    if (!page.more || last === undefined) return {entries, revision};
    key = Buffer.concat([last.key, Buffer.alloc(1)]);
  }
}

/** Tells every change of the prefix after revision `after`, until the returned function is called or `lost` was. */
export function watchPrefix(
  client: Etcd3,
  prefix: string,
  after: bigint,
  handlers: EtcdWatchHandlers,
): () => void {
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

function changeOf({type, kv}: {readonly type: string; readonly kv: IKeyValue}): EtcdChange {
  return type === 'Delete' ? {key: kv.key.toString(), revision: BigInt(kv.mod_revision)} : entryOf(kv);
}

export function entryOf(kv: IKeyValue): EtcdEntry {
  return {key: kv.key.toString(), value: kv.value.toString(), revision: BigInt(kv.mod_revision)};
}
