/** Signs anew what would expire. The server calls this from time to time; it needs the online keys alone. */
import {
  apply,
  contentOf,
  openSigners,
  planFrom,
  remember,
  withRepository,
  type ReleasesContext,
} from './context.ts';
import {isDue} from './lifetimes.ts';
import {nextRoot} from './roots.ts';
import {planMetadata, planRoot, type Write} from './sign.ts';
import type {RepositoryState} from './state.ts';

export interface RefreshWish {
  /** Sign also what is not due yet. */
  readonly force?: boolean;
  /** Give root and targets a new life too: needs the offline keys. */
  readonly offline?: boolean;
}

export interface Refreshed {
  /** Roles that were signed anew. */
  readonly signed: readonly string[];
  /** RFC 3339, by role. */
  readonly expires: Readonly<Record<'root' | 'targets' | 'snapshot' | 'timestamp', string>>;
}

/** Does nothing when nothing is due. */
export async function refreshRepository(
  context: ReleasesContext,
  wish: RefreshWish = {},
): Promise<Refreshed> {
  const {store, keys, lifetimes} = context;
  return withRepository(context, async state => {
    const now = context.now();
    const force = wish.force === true || wish.offline === true;
    const due = {
      snapshot: force || isDue('snapshot', state.snapshot.signed.expires, now, lifetimes),
      timestamp: force || isDue('timestamp', state.timestamp.signed.expires, now, lifetimes),
    };
    if (!due.snapshot && !due.timestamp) return {signed: [], expires: expiries(state)};
    const offline = wish.offline === true;
    const signers = await openSigners(
      keys,
      offline ? ['root', 'targets', 'snapshot', 'timestamp'] : ['snapshot', 'timestamp'],
    );
    const writes: Write[] = planMetadata({
      ...planFrom(state),
      signers,
      now,
      lifetimes,
      targets: offline ? contentOf(state) : undefined,
      snapshot: due.snapshot,
    });
    if (offline) {
      const root = nextRoot(state.root.signed, {}, now, lifetimes);
      writes.push(planRoot(root, [state.root.signed], signers('root')));
    }
    await apply(store, writes);
    await remember(context, state, writes);
    const signed = writes.map(({path}) => /(\w+)\.json$/.exec(path)?.[1] ?? path);
    return {signed, expires: {...expiries(state), ...Object.fromEntries(writes.map(expiryOf))}};
  });
}

function expiries(state: RepositoryState): Refreshed['expires'] {
  return {
    root: state.root.signed.expires,
    targets: state.targets.signed.expires,
    snapshot: state.snapshot.signed.expires,
    timestamp: state.timestamp.signed.expires,
  };
}

function expiryOf({path, bytes}: Write): [string, string] {
  const {signed} = JSON.parse(Buffer.from(bytes).toString('utf8')) as {signed: {expires: string}};
  return [/(\w+)\.json$/.exec(path)?.[1] ?? path, signed.expires];
}
