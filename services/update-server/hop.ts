/** Which release a machine goes to next on its way to the target: barriers, version ranges, withdrawals. Pure. */
import semver from 'semver';
import type {KnownRelease} from '../common/contracts/policy.ts';
import type {ServerError} from './errors.ts';
import {splitKey} from './keys.ts';

export type Releases = ReadonlyMap<string, KnownRelease>;

export type Hop =
  | {readonly kind: 'there'}
  /** Runs something newer than the target, which does not allow to go down. */
  | {readonly kind: 'above'}
  | {readonly kind: 'go'; readonly version: string; readonly release: KnownRelease}
  | {readonly kind: 'no-way'; readonly why: string};

/** The next release for a machine on `current` that shall run `target`. */
export function nextHop(current: string, target: string, releases: Releases): Hop {
  if (current === target) return {kind: 'there'};
  const release = releases.get(target);
  if (release === undefined) return {kind: 'no-way', why: `release ${target} is not known to the server`};
  if (release.withdrawn !== undefined) return {kind: 'no-way', why: `release ${target} is withdrawn`};
  if (semver.gte(current, target)) {
    const down = release.facts.downgradeFrom;
    const allowed = down !== undefined && semver.satisfies(current, down, {includePrerelease: true});
    return allowed ? {kind: 'go', version: target, release} : {kind: 'above'};
  }
  // Withdrawn barriers bind nobody: nobody can pass through them.
  const between = [...releases.values()]
    .filter(
      ({facts, withdrawn}) =>
        withdrawn === undefined && semver.gt(facts.version, current) && semver.lte(facts.version, target),
    )
    .sort((a, b) => semver.compare(a.facts.version, b.facts.version));
  const stop = between.find(({facts}) => facts.barrier || facts.version === target) ?? release;
  // The highest one up to the stop that takes machines from where this one is.
  const way = between.findLast(
    ({facts}) =>
      semver.lte(facts.version, stop.facts.version) &&
      (facts.from === undefined || semver.satisfies(current, facts.from, {includePrerelease: true})),
  );
  if (way !== undefined) return {kind: 'go', version: way.facts.version, release: way};
  return {
    kind: 'no-way',
    why: `${stop.facts.version} takes machines from ${stop.facts.from ?? 'any version'} only, and nothing leads there from ${current}`,
  };
}

/**
 * Throws what is wrong with a release that would have a say in the way from `current` to `target`: it may be a barrier,
 * or withdrawn, and nobody is sent past what cannot be read. `unreadable` is by key.
 */
export function checkWay(
  unreadable: ReadonlyMap<string, ServerError>,
  current: string,
  target: string,
): void {
  for (const [key, problem] of unreadable) {
    const place = splitKey(key);
    if (place?.kind !== 'releases') continue;
    const {name: version} = place;
    if (version === target) throw problem;
    if (semver.valid(version) === null) continue;
    if (semver.gt(version, current) && semver.lt(version, target)) throw problem;
  }
}
