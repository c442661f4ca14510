/** The first keys and the empty repository. */
import {firstRoot} from './roots.ts';
import {apply, openSigners, remember, type ReleasesContext} from './context.ts';
import {ReleasesError} from './errors.ts';
import {roles, type Role, type Signer} from './keys/key.ts';
import {planMetadata, planRoot} from './sign.ts';
import {hasRepository, loadState} from './state.ts';

export interface KeyCounts {
  readonly count: number;
  readonly threshold: number;
}

/**
 * Makes the keys and, signed by them, a repository without releases. `created` is false when both are there already;
 * keys that a killed run left are used.
 */
export async function initializeRepository(
  context: ReleasesContext,
  wanted: Readonly<Record<Role, KeyCounts>>,
): Promise<{readonly created: boolean; readonly root: Uint8Array}> {
  const {store, keys, lifetimes} = context;
  await using _ = await store.lock(context.signal);
  const memory = await keys.memory.load();
  if (await hasRepository(store)) {
    const state = await loadState(store, memory);
    await remember(context, state);
    return {created: false, root: state.rootBytes};
  }
  if (memory !== undefined) {
    throw new ReleasesError(
      'keys-exist',
      `these keys have a repository already, and it is not ${store.name}`,
      {
        remedy: 'name it with --repository, or copy it here; other keys lie in another folder: --keys',
      },
    );
  }
  const signers = {} as Record<Role, readonly Signer[]>;
  for (const role of roles) signers[role] = await completeKeys(context, role, wanted[role].count);
  const now = context.now();
  const root = firstRoot(
    {
      root: {keys: signers.root.map(({key}) => key), threshold: wanted.root.threshold},
      targets: {keys: signers.targets.map(({key}) => key), threshold: wanted.targets.threshold},
      snapshot: {keys: signers.snapshot.map(({key}) => key), threshold: wanted.snapshot.threshold},
      timestamp: {keys: signers.timestamp.map(({key}) => key), threshold: wanted.timestamp.threshold},
    },
    now,
    lifetimes,
  );
  const writes = planMetadata({
    roots: [root],
    signers: role => signers[role],
    now,
    lifetimes,
    versions: {targets: 1, snapshot: 1, timestamp: 1},
    targets: {targets: {}, withdrawn: {}},
    current: undefined,
  });
  const rootWrite = planRoot(root, [], signers.root);
  await apply(store, [...writes, rootWrite]);
  await remember(context, {rootBytes: rootWrite.bytes, targets: {signed: {version: 1}}});
  return {created: true, root: rootWrite.bytes};
}

async function completeKeys({keys}: ReleasesContext, role: Role, wanted: number): Promise<readonly Signer[]> {
  const there = (await openSigners(keys, [role]))(role).slice(0, wanted);
  return there.length === wanted ? there : [...there, ...(await keys.create(role, wanted - there.length))];
}
