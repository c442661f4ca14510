/** A built image becomes a release. */
import {TargetFile} from '@tufjs/models';
import {join} from 'node:path';
import semver from 'semver';
import {ReleaseManifest, releaseTarget, repositoryFolders} from '../../common/contracts/release.ts';
import {sha256} from '../../common/hash.ts';
import {parseJson, parseValue} from '../../common/parse.ts';
import type {PayloadOutput} from '../../common/payload/ports.ts';
import {withStep, type Progress} from '../../common/progress.ts';
import {EXTRA, targetPath, type TargetExtra} from '../../common/tuf/metadata.ts';
import {catalogueOf, readProven} from './catalogue.ts';
import {
  apply,
  contentAddressed,
  contentOf,
  openSigners,
  planFrom,
  remember,
  withRepository,
  type ReleasesContext,
} from './context.ts';
import {ReleasesError} from './errors.ts';
import {diffPackages, PackageList, serializePackages} from './packages.ts';
import type {BuildPayload, PackageVersion, ReleaseImage, RepositoryStore} from './ports.ts';
import {count, planMetadata, type TargetsContent} from './sign.ts';

export interface PublishWish {
  readonly image: ReleaseImage;
  /** The image's own when absent. */
  readonly version?: string | undefined;
  readonly barrier: boolean;
  readonly from?: string | undefined;
  readonly downgradeFrom?: string | undefined;
  readonly notes: string;
  readonly allowUnsigned: boolean;
  readonly allowUnlocked: boolean;
}

export interface PublishContext extends ReleasesContext {
  readonly buildPayload: BuildPayload;
  /** The repository's root folder, for the payload's files. */
  readonly repository: string;
  readonly progress: Progress;
}

export interface Published {
  /** False when this very release was there already. */
  readonly created: boolean;
  readonly manifest: ReleaseManifest;
}

const NOTES_MAX = 65_536;

/**
 * Writes payload and manifest, then the metadata that names them, what clients look at first last. Asked again after a
 * kill it goes on; a release that is there is not changed. Throws {@link ReleasesError}.
 */
export async function publishRelease(context: PublishContext, wish: PublishWish): Promise<Published> {
  const version = checkWish(wish);
  const {image} = wish;
  const {store, keys, lifetimes, signal} = context;
  return withRepository(context, async state => {
    const content = contentOf(state);
    const {releases} = await catalogueOf(store, state);
    const existing = checkVersion(version, image, content, releases);
    if (existing !== undefined) return {created: false, manifest: existing};
    // Keys first: minutes of work must not end in a wrong passphrase.
    const signers = await openSigners(keys, ['targets', 'snapshot', 'timestamp']);
    const {able, threshold} = count('targets', state.root.signed, signers('targets'));
    if (able.length < threshold) {
      throw new ReleasesError(
        'not-enough-keys',
        `${threshold} of the targets keys must sign, and ${able.length} are at hand`,
        {remedy: 'name the folders of the others with --keys, once for each'},
      );
    }
    const earlier = releases.find(release => semver.lt(release.version, version));
    const changes = diffPackages(await packagesOf(store, earlier), image.packages);
    const built = await buildProven(context, image, earlier);
    signal.throwIfAborted();

    const now = context.now();
    const list = contentAddressed(
      repositoryFolders.payloads,
      serializePackages(image.packages),
      '.packages.json',
    );
    const manifest: ReleaseManifest = parseValue(
      ReleaseManifest,
      {
        ...describeImage(wish, version, built),
        created: now.toISOString(),
        ...(earlier === undefined ? {} : {comparedWith: earlier.version}),
        packages: earlier === undefined ? [] : changes,
        packageList: {path: list.path, size: list.bytes.length, sha256: sha256(list.bytes)},
      },
      'the release manifest',
    );
    const bytes = Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`);
    const name = releaseTarget(version);
    const hash = sha256(bytes);
    const extra: TargetExtra = {
      rootHash: image.rootHash,
      created: manifest.created,
      barrier: manifest.barrier,
    };
    const target = new TargetFile({
      path: name,
      length: bytes.length,
      hashes: {sha256: hash},
      unrecognizedFields: {custom: {[EXTRA]: {...extra}}},
    });
    const writes = [
      list,
      {path: targetPath(name, hash), bytes},
      ...planMetadata({
        ...planFrom(state),
        signers,
        now,
        lifetimes,
        targets: {...content, targets: {...content.targets, [name]: target}},
      }),
    ];
    await apply(store, writes);
    await remember(context, state, writes);
    return {created: true, manifest};
  });
}

/** Everything that can be refused without looking at the repository. Returns the version. */
function checkWish(wish: PublishWish): string {
  const {image} = wish;
  const version = wish.version ?? image.version;
  if (semver.valid(version) !== version || semver.parse(version)?.build.length !== 0) {
    throw new ReleasesError('bad-version', `"${version}" cannot be the version of a release`, {
      remedy: 'give a semantic version without build metadata, for instance 1.4.0 or 1.4.0-rc.1',
    });
  }
  for (const [flag, range] of [
    ['--from', wish.from],
    ['--downgrade-from', wish.downgradeFrom],
  ] as const) {
    if (range === undefined || semver.validRange(range) !== null) continue;
    throw new ReleasesError('bad-range', `${flag} is "${range}"`, {
      remedy: 'give a range of semantic versions, for instance ">=1.2.0 <2.0.0"',
    });
  }
  if (wish.notes.length > NOTES_MAX)
    throw new ReleasesError('bad-notes', `the notes are longer than ${NOTES_MAX} characters`);
  if (!image.signed && !wish.allowUnsigned) {
    throw new ReleasesError('unsigned-image', 'the image carries no Secure Boot signatures', {
      remedy: 'build it with keys ("hawser keys init"), or publish it all the same with --allow-unsigned',
    });
  }
  if (!image.locked && !wish.allowUnlocked) {
    throw new ReleasesError('unlocked-image', 'the image was not built from its lock', {
      remedy: 'build it with --locked, or publish it all the same with --allow-unlocked',
    });
  }
  return version;
}

/** The release when it is there already. Throws `version-taken` and `withdrawn`. */
function checkVersion(
  version: string,
  image: ReleaseImage,
  {withdrawn}: TargetsContent,
  releases: readonly ReleaseManifest[],
): ReleaseManifest | undefined {
  const taken = Object.hasOwn(withdrawn, version) ? withdrawn[version] : undefined;
  if (taken !== undefined) {
    throw new ReleasesError('withdrawn', `${version} was published and withdrawn: ${taken.reason}`, {
      remedy: 'give the new image a new version',
    });
  }
  const existing = releases.find(release => release.version === version);
  if (existing === undefined) return undefined;
  const same =
    existing.rootHash === image.rootHash &&
    existing.uki.sha256 === image.files.uki.sha256 &&
    existing.bootLoader.sha256 === image.files.bootLoader.sha256;
  if (same) return existing;
  throw new ReleasesError('version-taken', `${version} was published with another image`, {
    remedy: 'versions are never used twice: give this image a new one',
    context: {published: existing.rootHash, image: image.rootHash},
  });
}

async function packagesOf(
  store: RepositoryStore,
  release: ReleaseManifest | undefined,
): Promise<readonly PackageVersion[]> {
  if (release?.packageList === undefined) return [];
  const {path} = release.packageList;
  const bytes = await readProven(store, release.packageList);
  return parseJson(PackageList, Buffer.from(bytes).toString('utf8'), path).packages;
}

async function buildProven(
  {buildPayload, repository, progress, signal}: PublishContext,
  {files, rootHash}: ReleaseImage,
  earlier: ReleaseManifest | undefined,
): Promise<PayloadOutput> {
  const built = await withStep(progress, 'payload', async step =>
    buildPayload({
      usr: files.usr.path,
      tree: files.tree.path,
      uki: files.uki.path,
      bootLoader: files.bootLoader.path,
      out: join(repository, repositoryFolders.payloads),
      previous: earlier === undefined ? undefined : {manifest: earlier, repository},
      signal,
      onProgress: (done, what) => step.update(`${what} ${Math.round(done * 100)} %`),
    }),
  );
  const asBuilt =
    built.rootHash === rootHash &&
    built.uki.sha256 === files.uki.sha256 &&
    built.bootLoader.sha256 === files.bootLoader.sha256;
  if (asBuilt) return built;
  throw new ReleasesError('image-damaged', 'the files of the image are not those that its manifest lists', {
    remedy: 'build the image again',
  });
}

function describeImage(
  {image, barrier, from, downgradeFrom, notes}: PublishWish,
  version: string,
  {payload, files, fullBytes, usr, uki, bootLoader}: PayloadOutput,
) {
  return {
    schema: 1,
    name: image.name,
    version,
    rootHash: image.rootHash,
    barrier,
    ...(from === undefined ? {} : {from}),
    ...(downgradeFrom === undefined ? {} : {downgradeFrom}),
    notes,
    fullBytes,
    usr,
    uki,
    bootLoader,
    payload,
    files: files.filter(({path}) => path !== payload.path),
  };
}
