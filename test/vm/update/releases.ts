/** Releases for a test: images of other versions, made from what the last build left, and a signed repository of them. */
import {mkdir, readFile, realpath, symlink} from 'node:fs/promises';
import {join} from 'node:path';
import {systemClock} from '../../../services/common/clock.ts';
import {ImageManifest} from '../../../services/common/contracts/image.ts';
import {parseJson} from '../../../services/common/parse.ts';
import {silentProgress} from '../../../services/common/progress.ts';
import {buildPayload} from '../../../services/update-server/payload/build-payload.ts';
import {openKeyFolders} from '../../../services/update-server/releases/adapters/key-folders.ts';
import {
  openRepositoryFolder,
  repositoryFoldersOf,
} from '../../../services/update-server/releases/adapters/repository-folder.ts';
import {initializeRepository} from '../../../services/update-server/releases/initialize.ts';
import {defaultLifetimes} from '../../../services/update-server/releases/lifetimes.ts';
import type {ReleaseImage} from '../../../services/update-server/releases/ports.ts';
import {refreshRepository} from '../../../services/update-server/releases/refresh.ts';
import {publishRelease} from '../../../services/update-server/releases/publish.ts';
import {hawser} from '../../support/cli.ts';

const BUILD_SECONDS = 1200;

/** Builds the image anew under another version, in a home of its own: the tests' current image stays. */
export async function buildVersion(home: string, keys: string, version: string): Promise<string> {
  await mkdir(home, {recursive: true});
  await symlink(keys, join(home, 'keys')).catch(() => undefined);
  await hawser(['image', 'build', `--version=${version}`, '--no-budget'], {home, seconds: BUILD_SECONDS});
  return realpath(join(home, 'images/current'));
}

export interface TestRepository {
  readonly folder: string;
  readonly root: Uint8Array;
  publish(image: ReleaseImage): Promise<void>;
  /** Signs snapshot and timestamp anew: what was signed before is old from then on. */
  refresh(): Promise<void>;
}

export async function makeRepository(folder: string, signal: AbortSignal): Promise<TestRepository> {
  const repository = join(folder, 'repository');
  const folders = repositoryFoldersOf(repository);
  const now = () => systemClock.now();
  const context = {
    store: openRepositoryFolder(folders, systemClock),
    keys: openKeyFolders({
      offline: [join(folder, 'offline')],
      online: folders.secret,
      now,
      passphrase: async () => undefined,
    }),
    now,
    lifetimes: defaultLifetimes,
    signal,
  };
  const one = {count: 1, threshold: 1};
  const {root} = await initializeRepository(context, {
    root: one,
    targets: one,
    snapshot: one,
    timestamp: one,
  });
  return {
    folder: repository,
    root,
    publish: async image => {
      await publishRelease(
        {...context, buildPayload, repository, progress: silentProgress},
        {image, barrier: false, notes: 'a test', allowUnsigned: true, allowUnlocked: true},
      );
    },
    refresh: async () => {
      await refreshRepository(context, {force: true});
    },
  };
}

/** A built image, as publishing wants it. */
export async function releaseImage(folder: string): Promise<ReleaseImage> {
  const manifest = parseJson(
    ImageManifest,
    await readFile(join(folder, 'manifest.json'), 'utf8'),
    'manifest.json',
  );
  const file = (name: string) => {
    const artefact = manifest.artefacts[name];
    if (artefact === undefined) throw new Error(`${folder} has no ${name}`);
    return {path: join(folder, artefact.file), size: artefact.size, sha256: artefact.sha256};
  };
  return {
    ...manifest,
    packages: [],
    files: {usr: file('usr'), tree: file('tree'), uki: file('uki'), bootLoader: file('boot-loader')},
  };
}
