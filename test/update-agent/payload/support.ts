/** Releases, a repository with their payloads, and a machine made of files: what the tests of staging share. */
import {execFile} from 'node:child_process';
import {mkdir, mkdtemp, open, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import type {ReleaseManifest} from '../../../services/common/contracts/release.ts';
import type {RepositoryFetch, RunningRelease, StageRequest} from '../../../services/common/payload/ports.ts';
import {createHttpFetch} from '../../../services/update-agent/payload/http-fetch.ts';
import {buildPayload} from '../../../services/update-server/payload/build-payload.ts';
import {block, makeImage, type TestImage} from '../../support/payload-image.ts';

const run = promisify(execFile);

export interface Published {
  readonly image: TestImage;
  readonly manifest: ReleaseManifest;
}

export interface Lab extends AsyncDisposable {
  readonly folder: string;
  /** Root of the repository. */
  readonly repository: string;
  readonly first: Published;
  /** A few files changed, one grew and moved all behind it, one is new in the initrd; its predecessor is `first`. */
  readonly second: Published;
  readonly fetch: RepositoryFetch;
  machine(name: string): Promise<Machine>;
}

export interface Machine {
  readonly target: {readonly usrDevice: string; readonly treeDevice: string};
  readonly ukiOut: string;
  readonly bootLoaderOut: string;
}

const blocks = (from: number, to: number) =>
  Array.from({length: to - from}, (_, index) => block(from + index));
const library = (version: string) => {
  // Similar content at another offset, as a library that is compiled again.
  const bytes = Buffer.concat(blocks(50_000, 50_040));
  return Buffer.concat([Buffer.from(`version ${version}`.padEnd(20)), bytes.subarray(0, -20)]);
};

export const firstUsr = () =>
  Buffer.concat([
    ...blocks(0, 900),
    library('1'),
    Buffer.alloc(8 * 4096),
    ...blocks(2000, 2600),
    block(7),
    block(7),
  ]);
export const secondUsr = () =>
  Buffer.concat([
    ...blocks(0, 400),
    block('new'),
    ...blocks(400, 900),
    library('2'),
    block('grown'),
    Buffer.alloc(8 * 4096),
    ...blocks(2000, 2590),
    block('new'),
    block(7),
    Buffer.alloc(4096),
  ]);

export async function createLab(): Promise<Lab> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-payload-'));
  const repository = join(folder, 'repository');
  await mkdir(join(repository, 'payloads'), {recursive: true});
  const kept = Buffer.concat(blocks(100, 130));
  const publish = async (
    version: string,
    usr: Buffer,
    file: Buffer,
    before?: Published,
  ): Promise<Published> => {
    const image = await makeImage(folder, version, usr, {'usr/lib/kept': kept, 'usr/lib/library': file});
    return {image, manifest: await publishImage(image, repository, version, before?.manifest)};
  };
  const first = await publish('1.0.0', firstUsr(), library('1'));
  const second = await publish('1.0.1', secondUsr(), Buffer.concat(blocks(2100, 2140)), first);
  const http = createHttpFetch();
  return {
    folder,
    repository,
    first,
    second,
    fetch: http.fetch,
    machine: name => createMachine(join(folder, name)),
    [Symbol.asyncDispose]: async () => {
      http.close();
      await rm(folder, {recursive: true, force: true});
    },
  };
}

export async function publishImage(
  image: TestImage,
  repository: string,
  version: string,
  before?: ReleaseManifest,
): Promise<ReleaseManifest> {
  const payload = await buildPayload({
    ...image,
    out: join(repository, 'payloads'),
    previous: before === undefined ? undefined : {manifest: before, repository},
    signal: new AbortController().signal,
  });
  return {
    schema: 1,
    name: 'hawser',
    version,
    created: '2026-11-24T00:00:00Z',
    barrier: false,
    notes: '',
    packages: [],
    rootHash: payload.rootHash,
    fullBytes: payload.fullBytes,
    usr: payload.usr,
    uki: payload.uki,
    bootLoader: payload.bootLoader,
    payload: payload.payload,
  };
}

export async function createMachine(folder: string): Promise<Machine> {
  await mkdir(folder, {recursive: true});
  const [usrDevice, treeDevice] = [join(folder, 'usr'), join(folder, 'tree')];
  await empty(usrDevice, 16 * 1024 ** 2);
  await empty(treeDevice, 1024 ** 2);
  return {
    target: {usrDevice, treeDevice},
    ukiOut: join(folder, 'new.efi'),
    bootLoaderOut: join(folder, 'loader.efi'),
  };
}

async function empty(path: string, size: number): Promise<void> {
  await writeFile(path, '');
  await using file = await open(path, 'r+');
  await file.truncate(size);
}

export function runningOf({image}: Pick<Published, 'image'>): RunningRelease {
  return {
    usrDevice: image.usr,
    treeDevice: image.tree,
    ukiPath: image.uki,
    bootLoaderPath: image.bootLoader,
    rootHash: image.rootHash,
  };
}

/** The request by which `machine`, running `from`, stages `to`. */
export function requestOf(
  lab: Lab,
  machine: Machine,
  to: Published,
  from: Published | undefined,
  repositories: readonly string[],
): StageRequest {
  return {
    manifest: to.manifest,
    repositories,
    fetch: lab.fetch,
    running: from === undefined ? undefined : runningOf(from),
    ...machine,
    signal: new AbortController().signal,
  };
}

/** Throws unless veritysetup itself finds data and tree to belong to the root hash. */
export async function veritysetupVerify(machine: Machine, rootHash: string): Promise<void> {
  await run('veritysetup', ['verify', machine.target.usrDevice, machine.target.treeDevice, rootHash]);
}
