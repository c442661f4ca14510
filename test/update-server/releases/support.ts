/** A bench for releases: keys and a repository in a scratch folder, a clock that is told the time, images of a few bytes. */
import {mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {systemClock} from '../../../services/common/clock.ts';
import {writeFileAtomic} from '../../../services/common/fs-atomic.ts';
import {sha256} from '../../../services/common/hash.ts';
import {silentProgress} from '../../../services/common/progress.ts';
import {
  openKeyFolders,
  type KeyFolders,
} from '../../../services/update-server/releases/adapters/key-folders.ts';
import {
  openRepositoryFolder,
  repositoryFoldersOf,
} from '../../../services/update-server/releases/adapters/repository-folder.ts';
import {initializeRepository} from '../../../services/update-server/releases/initialize.ts';
import {defaultLifetimes} from '../../../services/update-server/releases/lifetimes.ts';
import type {
  BuildPayload,
  PackageVersion,
  ReleaseImage,
  RepositoryStore,
} from '../../../services/update-server/releases/ports.ts';
import {
  publishRelease,
  type PublishContext,
  type PublishWish,
} from '../../../services/update-server/releases/publish.ts';

export const DAY = 86_400_000;
/** Of the tests' clock, not of the world's. */
export const START = new Date('2031-03-01T12:00:00Z');

export interface Bench extends PublishContext {
  readonly home: string;
  readonly repository: string;
  readonly keyFolders: KeyFolders;
  readonly time: {now: Date};
  /** The root that machines are given when they are made. */
  readonly firstRoot: Uint8Array;
  publish(version: string, over?: Partial<PublishWish>): ReturnType<typeof publishRelease>;
  /** The same bench with other keys at hand, or another store. */
  with(over: Partial<PublishContext>): Bench;
}

export interface BenchWish {
  readonly root?: {count: number; threshold: number};
  readonly targets?: {count: number; threshold: number};
  readonly passphrase?: string;
}

const one = {count: 1, threshold: 1};

export async function tempFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-releases-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  return folder;
}

export async function bench(t: ExecutionContext, wish: BenchWish = {}): Promise<Bench> {
  const home = await tempFolder(t);
  const repository = join(home, 'repository');
  const folders = repositoryFoldersOf(repository);
  const time = {now: START};
  const keyFolders: KeyFolders = {
    offline: [join(home, 'release-keys')],
    online: folders.secret,
    now: () => time.now,
    passphrase: () => Promise.resolve(wish.passphrase),
  };
  const context: PublishContext = {
    store: openRepositoryFolder(folders, systemClock),
    keys: openKeyFolders(keyFolders),
    now: () => time.now,
    lifetimes: defaultLifetimes,
    signal: new AbortController().signal,
    buildPayload: tinyPayload,
    repository,
    progress: silentProgress,
  };
  const {root} = await initializeRepository(context, {
    root: wish.root ?? {count: 3, threshold: 2},
    targets: wish.targets ?? {count: 2, threshold: 1},
    snapshot: one,
    timestamp: one,
  });
  const make = (context: PublishContext): Bench => ({
    ...context,
    home,
    repository,
    keyFolders,
    time,
    firstRoot: root,
    publish: async (version, over = {}) =>
      publishRelease(context, {
        image: await tinyImage(home, version),
        barrier: false,
        notes: '',
        allowUnsigned: false,
        allowUnlocked: false,
        ...over,
      }),
    with: over => make({...context, ...over}),
  });
  return make(context);
}

/** An image whose every file says its version. */
export async function tinyImage(
  home: string,
  version: string,
  over: Partial<ReleaseImage> & {packages?: readonly PackageVersion[]} = {},
): Promise<ReleaseImage> {
  const folder = join(home, 'images', version);
  await mkdir(folder, {recursive: true});
  const file = async (name: string) => {
    const path = join(folder, name);
    const text = `${name} of ${version}`;
    await writeFile(path, text);
    return {path, size: text.length, sha256: sha256(text)};
  };
  return {
    name: 'hawser',
    version,
    rootHash: sha256(`root of ${version}`),
    signed: true,
    locked: true,
    packages: [{name: 'libssl3t64', version: `3.5.${version}`}],
    files: {
      usr: await file('usr'),
      tree: await file('tree'),
      uki: await file('uki'),
      bootLoader: await file('bootLoader'),
    },
    ...over,
  };
}

/** Stands in for the real builder, whose own tests are elsewhere: one index and one data file. */
export const tinyPayload: BuildPayload = async ({usr, uki, bootLoader, out}) => {
  await mkdir(out, {recursive: true});
  const put = async (bytes: Uint8Array, suffix: string) => {
    const hash = sha256(bytes);
    await writeFileAtomic(join(out, `${hash}.${suffix}`), bytes, 0o644);
    return {path: `payloads/${hash}.${suffix}`, size: bytes.length, sha256: hash};
  };
  const data = await put(await readFile(usr), 'data');
  const index = await put(Buffer.from(`index ${data.sha256}`), 'index');
  const [ukiBytes, loaderBytes] = [await readFile(uki), await readFile(bootLoader)];
  const version = (await readFile(usr, 'utf8')).split(' of ')[1] ?? '';
  return {
    rootHash: sha256(`root of ${version}`),
    payload: index,
    files: [index, data],
    fullBytes: data.size,
    usr: {size: 4096, salt: '', uuid: '01234567-89ab-cdef-0123-456789abcdef'},
    uki: {size: ukiBytes.length, sha256: sha256(ukiBytes)},
    bootLoader: {size: loaderBytes.length, sha256: sha256(loaderBytes)},
  };
};

/** A store that dies before its write number `writes`. */
export function dyingStore(
  store: RepositoryStore,
  writes: number,
): RepositoryStore & {readonly done: () => number} {
  let count = 0;
  return {
    ...store,
    done: () => count,
    write: async (path, bytes) => {
      if (count >= writes) throw new Error('killed here');
      count++;
      await store.write(path, bytes);
    },
  };
}
