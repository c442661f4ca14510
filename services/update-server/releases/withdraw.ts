/** Takes a release back: no client sees it any more, and what was wrong with it stays on record, signed. */
import {releaseTarget} from '../../common/contracts/release.ts';
import {EXTRA, TargetExtra, type Withdrawal} from '../../common/tuf/metadata.ts';
import {parseValue} from '../../common/parse.ts';
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
import {planMetadata} from './sign.ts';

export interface Withdrawn {
  /** False when it was withdrawn before. */
  readonly changed: boolean;
  readonly withdrawal: Withdrawal;
}

/** Its files stay where they are, for machines that are fetching it. Throws {@link ReleasesError} `no-such-release`. */
export async function withdrawRelease(
  context: ReleasesContext,
  version: string,
  reason: string,
): Promise<Withdrawn> {
  const {store, keys, lifetimes} = context;
  return withRepository(context, async state => {
    const {targets, withdrawn} = contentOf(state);
    const before = Object.hasOwn(withdrawn, version) ? withdrawn[version] : undefined;
    if (before !== undefined) return {changed: false, withdrawal: before};
    const name = releaseTarget(version);
    const target = Object.hasOwn(targets, name) ? targets[name] : undefined;
    if (target === undefined) {
      throw new ReleasesError('no-such-release', `there is no release ${version} in ${store.name}`, {
        remedy: 'see "hawser release ls"',
      });
    }
    const now = context.now();
    const {rootHash} = parseValue(TargetExtra, target.custom[EXTRA], name);
    const withdrawal = {rootHash, reason, at: now.toISOString()};
    const {[name]: _, ...rest} = targets;
    const writes = planMetadata({
      ...planFrom(state),
      signers: await openSigners(keys, ['targets', 'snapshot', 'timestamp']),
      now,
      lifetimes,
      targets: {targets: rest, withdrawn: {...withdrawn, [version]: withdrawal}},
    });
    await apply(store, writes);
    await remember(context, state, writes);
    return {changed: true, withdrawal};
  });
}
