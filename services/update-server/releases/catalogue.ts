/** The releases of a repository of our own, as the server and `hawser release ls` see them. */
import semver from 'semver';
import {ReleaseManifest, type RepositoryFile} from '../../common/contracts/release.ts';
import {sha256} from '../../common/hash.ts';
import {parseJson} from '../../common/parse.ts';
import {targetPath, versionOfTarget, withdrawnReleases, type Withdrawal} from '../../common/tuf/metadata.ts';
import {ReleasesError} from './errors.ts';
import type {RepositoryStore} from './ports.ts';
import {loadState, type RepositoryState} from './state.ts';

export interface Catalogue {
  /** By version, newest first. */
  readonly releases: readonly ReleaseManifest[];
  /** By version. */
  readonly withdrawn: Readonly<Record<string, Withdrawal>>;
  /** RFC 3339, by role. */
  readonly expires: Readonly<Record<'root' | 'targets' | 'snapshot' | 'timestamp', string>>;
  /** Grows with every change of the list. */
  readonly version: number;
}

/** Reads and verifies the list and every manifest in it. Throws {@link ReleasesError} as `loadState` does. */
export async function readCatalogue(store: RepositoryStore): Promise<Catalogue> {
  return catalogueOf(store, await loadState(store));
}

export async function catalogueOf(store: RepositoryStore, state: RepositoryState): Promise<Catalogue> {
  const {signed} = state.targets;
  const releases: ReleaseManifest[] = [];
  for (const [name, target] of Object.entries(signed.targets)) {
    if (versionOfTarget(name) === undefined) continue;
    const hash = target.hashes['sha256'] ?? '';
    const path = targetPath(name, hash);
    const bytes = await readProven(store, {path, size: target.length, sha256: hash});
    releases.push(parseJson(ReleaseManifest, Buffer.from(bytes).toString('utf8'), `${store.name}/${path}`));
  }
  return {
    releases: releases.sort((a, b) => semver.rcompare(a.version, b.version)),
    withdrawn: withdrawnReleases(signed),
    version: signed.version,
    expires: {
      root: state.root.signed.expires,
      targets: signed.expires,
      snapshot: state.snapshot.signed.expires,
      timestamp: state.timestamp.signed.expires,
    },
  };
}

/** A file by path, size and hash. Throws `repository-damaged`. */
export async function readProven(store: RepositoryStore, file: RepositoryFile): Promise<Uint8Array> {
  const bytes = await store.read(file.path);
  if (bytes !== undefined && bytes.length === file.size && sha256(bytes) === file.sha256) return bytes;
  const what = bytes === undefined ? 'is missing' : 'is not the file that was signed';
  throw new ReleasesError('repository-damaged', `${store.name}/${file.path} ${what}`, {
    remedy: 'put it back from a mirror, or publish the release again',
  });
}
