/** Whether a release may be installed on this machine. Pure; whether its metadata is genuine was decided before. */
import semver from 'semver';
import type {ReleaseManifest} from '../common/contracts/release.ts';
import type {Policy} from './states.ts';

export type Refusal =
  'runs-already' | 'failed-before' | 'not-proven' | 'downgrade' | 'range' | 'barrier' | 'version-unsupported';

export type Decision =
  | {readonly ok: true; readonly downgrade: boolean}
  | {readonly ok: false; readonly refusal: Refusal; readonly detail: string};

/**
 * Judges `release` for the machine in `policy`. A version below the machine's own needs the signed manifest's or the
 * local operator's leave; neither lets a release pass that has failed here.
 */
export function decide(release: ReleaseManifest, barriers: readonly string[], policy: Policy): Decision {
  const {own, operator} = policy;
  const no = (refusal: Refusal, detail: string): Decision => ({ok: false, refusal, detail});
  if (release.rootHash === own.rootHash) return no('runs-already', `${own.version} runs`);
  const failed = policy.failed.find(one => one.rootHash === release.rootHash);
  if (failed !== undefined) return no('failed-before', `${release.version} failed here: ${failed.reason}`);
  if (!policy.proven) return no('not-proven', `${own.version}, which runs, has not proven itself yet`);
  // In a UKI's name `+N` counts boots (Boot Loader Specification): 1.0.0+7, once blessed, would have 7 tries again.
  if (release.version.includes('+'))
    return no('version-unsupported', `${release.version} carries build metadata`);

  const order = semver.compare(release.version, own.version);
  // Their UKIs would have one name.
  if (order === 0) return no('runs-already', `another build of ${own.version} runs`);
  if (order < 0) {
    const signed = release.downgradeFrom !== undefined && within(own.version, release.downgradeFrom);
    return signed || operator.allowDowngrade
      ? {ok: true, downgrade: true}
      : no('downgrade', `${release.version} is below ${own.version}, which runs`);
  }
  if (release.from !== undefined && !within(own.version, release.from)) {
    return no('range', `${release.version} updates only from ${release.from}`);
  }
  const barrier = barriers
    .filter(one => semver.gt(one, own.version) && semver.lt(one, release.version))
    .sort(semver.compare)[0];
  if (barrier !== undefined) return no('barrier', `${barrier} must be installed before ${release.version}`);
  return {ok: true, downgrade: false};
}

function within(version: string, range: string): boolean {
  return semver.satisfies(version, range, {includePrerelease: true});
}
