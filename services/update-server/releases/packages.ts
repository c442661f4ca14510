/** What a release is made of, and what changed against another. */
import {Type} from 'typebox';
import type {ReleaseManifest} from '../../common/contracts/release.ts';
import type {PackageVersion} from './ports.ts';

export type PackageChange = ReleaseManifest['packages'][number];

/** The file that a manifest's `packageList` names. */
export const PackageList = Type.Object({
  schema: Type.Literal(1),
  packages: Type.Array(Type.Object({name: Type.String(), version: Type.String()})),
});

export function serializePackages(packages: readonly PackageVersion[]): Uint8Array {
  const sorted = packages
    .map(({name, version}) => ({name, version}))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return Buffer.from(`${JSON.stringify({schema: 1, packages: sorted}, null, 1)}\n`);
}

/** By name; a package of both with one version is left out. */
export function diffPackages(
  before: readonly PackageVersion[],
  after: readonly PackageVersion[],
): PackageChange[] {
  const old = new Map(before.map(({name, version}) => [name, version]));
  const fresh = new Map(after.map(({name, version}) => [name, version]));
  return [...new Set([...old.keys(), ...fresh.keys()])].sort().flatMap(name => {
    const [from, to] = [old.get(name), fresh.get(name)];
    if (from === to) return [];
    return [{name, ...(from === undefined ? {} : {from}), ...(to === undefined ? {} : {to})}];
  });
}
