/**
 * What a machine may believe about releases: signed metadata out of any of its repositories, held against the root that
 * the machine was given. The server only chooses among what this says is there.
 */
import {Value} from 'typebox/value';
import {ReleaseManifest, releaseTarget} from '../../common/contracts/release.ts';
import {describeError} from '../../common/errors.ts';
import {parseJson, ParseError} from '../../common/parse.ts';
import {
  isUsableRoot,
  readTarget,
  refreshMetadata,
  type Refreshed,
  type TrustedFiles,
} from '../../common/tuf/client.ts';
import {TrustError} from '../../common/tuf/errors.ts';
import {EXTRA, TargetExtra, versionOfTarget, withdrawnReleases} from '../../common/tuf/metadata.ts';
import type {Withdrawal} from '../../common/tuf/metadata.ts';
import type {RepositorySource} from '../../common/tuf/source.ts';
import {openTrustedFolder} from './trusted-folder.ts';

export interface TrustOptions {
  /** The root that the machine was given (`agentFiles.trustedRoot`), not what is kept in `folder`. */
  readonly root: Uint8Array;
  /** Where the newest verified metadata is kept: must outlive a fall-back, so below /var/lib/hawser/update. */
  readonly folder: string;
  /** Tried in this order: the first one that is sound and fresh is taken. */
  readonly repositories: readonly RepositorySource[];
  readonly now: () => Date;
  /** When the running image was built: time is never before that. */
  readonly notBefore?: Date;
  readonly signal?: AbortSignal;
}

/** A release that may be installed, as the signed list tells it; the rest is in its manifest. */
export interface ListedRelease extends TargetExtra {
  readonly version: string;
}

export interface Trust {
  /** The repository that answered: payload files are fetched from here, each proven by the manifest's hash. */
  readonly source: RepositorySource;
  /** Unordered. A withdrawn release is not among them. */
  releases(): readonly ListedRelease[];
  /** By version. */
  withdrawn(): Readonly<Record<string, Withdrawal>>;
  /** Throws {@link TrustError}: `no-such-release`, `withdrawn`, or what is wrong with the file. */
  manifest(version: string): Promise<ReleaseManifest>;
  /** What failed with repositories that were tried before this one. */
  readonly problems: readonly TrustError[];
}

/**
 * Fetches and verifies the metadata. Throws {@link TrustError} when no repository will do: the code is that of the
 * gravest failure, one of the content before one of the way there. What is kept changes only by what was verified whole.
 */
export async function openTrust(options: TrustOptions): Promise<Trust> {
  const folder = await openTrustedFolder(options.folder, options.root);
  const kept = await folder.load();
  // A damaged root counts as none: the given one is still there, and every step from it is signed.
  let trusted: TrustedFiles = isUsableRoot(kept.root) ? kept : {...kept, root: options.root};
  const problems: TrustError[] = [];
  for (const source of options.repositories) {
    try {
      const refreshed = await refreshMetadata({
        trusted,
        source,
        now: options.now(),
        notBefore: options.notBefore,
        signal: options.signal,
        onRoot: async bytes => {
          await folder.saveRoot(bytes);
          trusted = {...trusted, root: bytes};
        },
      });
      await folder.save(refreshed.files);
      return describe(source, refreshed, problems, options.signal);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof TrustError)) throw error;
      problems.push(error);
    }
  }
  throw gravest(problems);
}

function describe(
  source: RepositorySource,
  {targets}: Refreshed,
  problems: readonly TrustError[],
  signal: AbortSignal | undefined,
): Trust {
  const withdrawn = withdrawnReleases(targets);
  return {
    source,
    problems,
    withdrawn: () => withdrawn,
    releases: () =>
      Object.entries(targets.targets).flatMap(([name, target]) => {
        const version = versionOfTarget(name);
        if (version === undefined) return []; // not a release: something newer than this agent
        const extra = target.custom[EXTRA];
        if (!Value.Check(TargetExtra, extra))
          throw new TrustError('malformed', `${name} is signed, but not described as a release`);
        return [{version, ...extra}];
      }),
    manifest: async version => {
      const name = releaseTarget(version);
      const target = Object.hasOwn(targets.targets, name) ? targets.targets[name] : undefined;
      const taken = Object.hasOwn(withdrawn, version) ? withdrawn[version] : undefined;
      if (taken !== undefined)
        throw new TrustError('withdrawn', `release ${version} was withdrawn: ${taken.reason}`);
      if (target === undefined)
        throw new TrustError('no-such-release', `there is no release ${version} at ${source.name}`);
      const bytes = await readTarget(source, target, signal);
      return parseManifest(bytes, version);
    },
  };
}

function parseManifest(bytes: Uint8Array, version: string): ReleaseManifest {
  try {
    const manifest = parseJson(ReleaseManifest, Buffer.from(bytes).toString('utf8'), `release ${version}`);
    if (manifest.version === version) return manifest;
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw new TrustError('malformed', error.message, {
      remedy: 'a release that this agent cannot read needs a release between: see "barrier"',
      cause: error,
    });
  }
  throw new TrustError('malformed', `the manifest of ${version} speaks of another version`);
}

const ofTheWay = new Set(['unreachable', 'refused', 'not-found']);

function gravest(problems: readonly TrustError[]): TrustError {
  const first = problems.find(({code}) => !ofTheWay.has(code)) ?? problems[0];
  if (first === undefined) return new TrustError('unreachable', 'this machine has no repository');
  if (problems.length === 1) return first;
  const all = problems.map(describeError).join('; ');
  return new TrustError(first.code, `none of ${problems.length} repositories will do: ${all}`, {
    cause: first,
  });
}
