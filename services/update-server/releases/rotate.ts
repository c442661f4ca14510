/** Other keys for a role. */
import {
  apply,
  contentOf,
  openSigners,
  planFrom,
  remember,
  withRepository,
  type ReleasesContext,
} from './context.ts';
import {ReleasesError} from './errors.ts';
import {roles, type Role} from './keys/key.ts';
import {nextRoot, roleKeys} from './roots.ts';
import {count, planMetadata, planRoot, type Write} from './sign.ts';

export interface Rotation {
  readonly role: Role;
  /** Only these keys go, for instance the one that was lost; all of the role when absent. */
  readonly replace?: readonly string[] | undefined;
  /** How many keys the role has afterwards, and how many must sign; as before when absent. */
  readonly count?: number | undefined;
  readonly threshold?: number | undefined;
}

export interface Rotated {
  readonly root: number;
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /**
   * False when too few of the old keys were at hand to sign what must stay valid meanwhile: clients that came between
   * the first write and the last one were told of a bad signature, and try again.
   */
  readonly seamless: boolean;
}

/**
 * Makes the new keys, signs what the role signs with the old and the new ones, and publishes the new root last, as the
 * one step that changes whom clients trust: killed anywhere before it, the old repository is whole.
 */
export async function rotateKeys(context: ReleasesContext, rotation: Rotation): Promise<Rotated> {
  const {store, keys, lifetimes} = context;
  const {role} = rotation;
  return withRepository(context, async state => {
    const old = state.root.signed;
    const before = roleKeys(old, role);
    const going = chooseGoing(
      role,
      before.keys.map(({keyID}) => keyID),
      rotation.replace,
    );
    const staying = before.keys.filter(({keyID}) => !going.includes(keyID));
    const wanted = rotation.count ?? before.keys.length;
    const threshold = rotation.threshold ?? before.threshold;
    if (wanted < staying.length) {
      throw new ReleasesError(
        'bad-threshold',
        `${staying.length} ${role} keys stay, so there cannot be ${wanted}`,
        {
          remedy: 'replace more of them, or ask for more keys',
        },
      );
    }
    // All keys are opened before any is made: a wrong passphrase changes nothing.
    const opened = await openSigners(
      keys,
      roles.filter(one => one === 'root' || one === role || isAbove(role, one)),
    );
    needThreshold('root', count('root', old, opened('root')));
    const fresh = await keys.create(role, wanted - staying.length);
    const signers = (one: Role) => (one === role ? [...opened(one), ...fresh] : opened(one));
    const now = context.now();
    const root = nextRoot(
      old,
      {[role]: {keys: [...staying, ...fresh.map(({key}) => key)], threshold}},
      now,
      lifetimes,
    );

    const {able, threshold: oldThreshold} = count(role, old, signers(role));
    const seamless = role === 'root' || able.length >= oldThreshold;
    const resigned: Write[] =
      role === 'root'
        ? []
        : planMetadata({
            ...planFrom(state),
            roots: seamless ? [old, root] : [root],
            signers,
            now,
            lifetimes,
            targets: role === 'targets' ? contentOf(state) : undefined,
            snapshot: role === 'snapshot',
          });
    const rootWrite = planRoot(root, [old], signers('root'));
    const writes = seamless ? [...resigned, rootWrite] : [rootWrite, ...resigned];
    await apply(store, writes);
    await remember(context, state, writes);
    await keys.retire(role, going);
    return {root: root.version, added: fresh.map(({key}) => key.keyID), removed: going, seamless};
  });
}

/** Metadata of which roles is made anew with that of `role`. */
function isAbove(role: Role, other: Role): boolean {
  return role !== 'root' && roles.indexOf(other) > roles.indexOf(role);
}

function chooseGoing(role: Role, ids: readonly string[], replace: readonly string[] | undefined): string[] {
  if (replace === undefined || replace.length === 0) return [...ids];
  return replace.map(prefix => {
    const [id, ...more] = ids.filter(candidate => candidate.startsWith(prefix));
    if (id !== undefined && more.length === 0) return id;
    throw new ReleasesError(
      'keys-missing',
      `${id === undefined ? 'no' : 'more than one'} ${role} key that is trusted begins with ${prefix}`,
      {remedy: 'see "hawser release keys ls"'},
    );
  });
}

function needThreshold(role: Role, {able, threshold}: ReturnType<typeof count>): void {
  if (able.length >= threshold) return;
  throw new ReleasesError(
    'not-enough-keys',
    `${threshold} of the ${role} keys must sign, and ${able.length} are at hand`,
    {remedy: 'name the folders of the others with --keys, once for each'},
  );
}
