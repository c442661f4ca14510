/** `--only bytes,apply`: an update between two built images, beside casync, desync, RAUC's method and zstd. */
import {createHash} from 'node:crypto';
import {mkdir, mkdtemp, open, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {build} from 'esbuild';
import {Type} from 'typebox';
import type {ReleaseManifest} from '../../services/common/contracts/release.ts';
import {exec} from '../../services/common/exec.ts';
import {readVerity} from '../../services/common/formats/verity.ts';
import {openFileSource} from '../../services/common/formats/file-source.ts';
import {parseJson} from '../../services/common/parse.ts';
import type {StageRequest} from '../../services/common/payload/ports.ts';
import {buildPayload} from '../../services/update-server/payload/build-payload.ts';
import {serveRepository} from '../../test/support/repository-server.ts';
import {BenchError} from './errors.ts';
import {artefactPath, openHawserImage, type HawserImage} from './image.ts';

export interface UpdateFigures {
  readonly from: string;
  readonly to: string;
  /** `zstd -9 --long=27` of /usr and kernel image: what a whole image costs to send. */
  readonly fullBytes: number;
  /** On the wire, headers included. */
  readonly ours: {readonly fromPredecessor: number; readonly fromAnywhere: number};
  readonly casync: number | undefined;
  readonly desync: number | undefined;
  readonly rauc: number;
  /** `zstd --ultra -22 --long=31 --patch-from`; undefined when it was not asked for. */
  readonly floor: number | undefined;
  /** What staging took: from the predecessor, from any release. */
  readonly stage: {readonly fromPredecessor: StageCost; readonly fromAnywhere: StageCost};
}

export interface StageCost {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly maxRssMegabytes: number;
}

export interface UpdateOptions {
  readonly from: string;
  readonly to: string;
  /** Also the floor, which takes half an hour of one core. */
  readonly floor: boolean;
  readonly work: string;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
}

const HOUR_MS = 3_600_000;
const Staged = Type.Object({
  patched: Type.Boolean(),
  cpuSeconds: Type.Number(),
  maxRssMegabytes: Type.Number(),
});

/** Measures one pair; everything it writes lies in a folder of its own below `work`, which is removed. */
export async function measureUpdate(options: UpdateOptions): Promise<UpdateFigures> {
  const {signal, note} = options;
  const [from, to] = [await openHawserImage(options.from), await openHawserImage(options.to)];
  await mkdir(options.work, {recursive: true});
  const work = await mkdtemp(join(options.work, 'bytes-'));
  try {
    const manifests = await publishPair(from, to, work, signal);
    note('published');
    const patch = await stage(from, manifests, work, true, signal);
    const anywhere = await stage(from, manifests, work, false, signal);
    note('staged');
    const files = (image: HawserImage) => [artefactPath(image, 'usr'), artefactPath(image, 'uki')];
    let [fullBytes, floor] = [0, 0];
    for (const [index, file] of files(to).entries()) {
      fullBytes += await zstdBytes(['-9', '--long=27', file], work, signal);
      const old = files(from)[index] ?? '';
      if (options.floor)
        floor += await zstdBytes(['--ultra', '-22', '--long=31', `--patch-from=${old}`, file], work, signal);
    }
    const chunkers = await chunkersOf(from, to, work, signal);
    return {
      from: from.folder,
      to: to.folder,
      fullBytes,
      ours: {fromPredecessor: patch.wire, fromAnywhere: anywhere.wire},
      ...chunkers,
      rauc: await raucBytes(from, to),
      floor: options.floor ? floor : undefined,
      stage: {fromPredecessor: patch, fromAnywhere: anywhere},
    };
  } finally {
    await rm(work, {recursive: true, force: true});
  }
}

async function publishPair(from: HawserImage, to: HawserImage, work: string, signal: AbortSignal) {
  const repository = join(work, 'repository');
  const publish = async (image: HawserImage, before?: ReleaseManifest): Promise<ReleaseManifest> => {
    const payload = await buildPayload({
      usr: artefactPath(image, 'usr'),
      tree: artefactPath(image, 'tree'),
      uki: artefactPath(image, 'uki'),
      bootLoader: artefactPath(image, 'boot-loader'),
      out: join(repository, 'payloads'),
      previous: before === undefined ? undefined : {manifest: before, repository},
      signal,
    });
    const {name, version} = image.manifest;
    const rest = {created: '', barrier: false, notes: '', packages: []};
    return {schema: 1, name, version, ...rest, ...payload, files: [...payload.files]};
  };
  const first = await publish(from);
  return {repository, first, second: await publish(to, first)};
}

/** Runs the host's side as a host does: one bundle, one process. */
async function stage(
  from: HawserImage,
  {repository, second}: {readonly repository: string; readonly second: ReleaseManifest},
  work: string,
  fromPredecessor: boolean,
  signal: AbortSignal,
) {
  const program = join(work, 'stage.mjs');
  await build({
    entryPoints: [join(import.meta.dirname, 'stage-once.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: program,
    logLevel: 'silent',
  });
  const slot = join(work, 'slot');
  await rm(slot, {recursive: true, force: true});
  await mkdir(slot);
  const target = {usrDevice: join(slot, 'usr'), treeDevice: join(slot, 'tree')};
  for (const [path, size] of [
    [target.usrDevice, second.usr.size],
    [target.treeDevice, 32 * 1024 ** 2],
  ] as const) {
    await using file = await open(path, 'w');
    await file.truncate(size);
  }
  await using server = await serveRepository(repository);
  const request: Omit<StageRequest, 'fetch' | 'signal'> = {
    manifest: second,
    repositories: [server.url],
    running: {
      usrDevice: artefactPath(from, 'usr'),
      treeDevice: artefactPath(from, 'tree'),
      ukiPath: artefactPath(from, 'uki'),
      bootLoaderPath: artefactPath(from, 'boot-loader'),
      // Under another name the same machine is no predecessor: what any other release would have to do.
      rootHash: fromPredecessor ? from.manifest.rootHash : '0'.repeat(64),
    },
    target,
    ukiOut: join(slot, 'uki.efi'),
    bootLoaderOut: join(slot, 'loader.efi'),
  };
  const started = performance.now();
  const {stdout} = await exec([process.execPath, program, JSON.stringify(request)], {
    timeoutMs: HOUR_MS,
    signal,
  });
  const result = parseJson(Staged, stdout, 'staging');
  if (result.patched !== fromPredecessor)
    throw new BenchError('wrong-path', `staging did ${result.patched ? '' : 'not '}use the patch`);
  return {
    ...result,
    seconds: (performance.now() - started) / 1000,
    wire: server.wireBytes(),
  };
}

async function zstdBytes(args: readonly string[], work: string, signal: AbortSignal): Promise<number> {
  const out = join(work, 'out.zst');
  await exec(['zstd', '-q', '-f', '-T1', ...args, '-o', out], {timeoutMs: HOUR_MS, signal});
  const {size} = await stat(out);
  await rm(out);
  return size;
}

/**
 * casync's and desync's own stores over /usr and kernel image: the bytes of the chunks that the new image has and the
 * old one has not, as they lie compressed in the store, and of the index. Without any HTTP header: in their favour.
 */
async function chunkersOf(from: HawserImage, to: HawserImage, work: string, signal: AbortSignal) {
  const sizes: Record<'casync' | 'desync', number | undefined> = {casync: undefined, desync: undefined};
  for (const tool of ['casync', 'desync'] as const) {
    const store = join(work, `${tool}.castr`);
    const make = async (file: string, name: string) => {
      const index = join(work, `${tool}-${name}.caibx`);
      const argv =
        tool === 'casync'
          ? ['casync', 'make', `--store=${store}`, index, file]
          : ['desync', 'make', '-s', store, index, file];
      await mkdir(store, {recursive: true});
      await exec(argv, {timeoutMs: HOUR_MS, signal});
      return (await stat(index)).size;
    };
    try {
      for (const artefact of ['usr', 'uki'] as const)
        await make(artefactPath(from, artefact), `old-${artefact}`);
      const before = await folderBytes(store, signal);
      let indexes = 0;
      for (const artefact of ['usr', 'uki'] as const)
        indexes += await make(artefactPath(to, artefact), artefact);
      sizes[tool] = (await folderBytes(store, signal)) - before + indexes;
    } catch (error) {
      // Optional peers: desync comes from the Go module proxy (README.md).
      if (!(error instanceof Error && 'code' in error && error.code === 'not-found')) throw error;
    } finally {
      await rm(store, {recursive: true, force: true});
    }
  }
  return sizes;
}

async function folderBytes(folder: string, signal: AbortSignal): Promise<number> {
  const {stdout} = await exec(['du', '--apparent-size', '--bytes', '--summarize', folder], {
    timeoutMs: HOUR_MS,
    signal,
  });
  return Number(stdout.split('\t')[0]);
}

/**
 * RAUC's adaptive updates, from its documentation (block-hash-index): 32 bytes of SHA-256 for each block of 4096, and
 * every block that the old slot has nowhere, fetched by range as it lies in the bundle, uncompressed. The kernel image
 * is a slot of its own. One request for each run of missing blocks, 300 bytes of headers each.
 */
async function raucBytes(from: HawserImage, to: HawserImage): Promise<number> {
  let bytes = 0;
  for (const artefact of ['usr', 'uki'] as const) {
    const known = new Set(await blockHashes(from, artefact));
    const wanted = await blockHashes(to, artefact);
    bytes += wanted.length * 32;
    let before = false;
    for (const hash of wanted) {
      const missing = !known.has(hash);
      known.add(hash);
      if (missing) bytes += 4096 + (before ? 0 : 300);
      before = missing;
    }
  }
  return bytes;
}

async function blockHashes(image: HawserImage, artefact: 'usr' | 'uki'): Promise<string[]> {
  if (artefact === 'usr') {
    // The leaves of the hash tree are salted hashes of the same blocks: equal where they are.
    await using tree = await openFileSource(artefactPath(image, 'tree'));
    const {levels, dataBlocks} = await readVerity(tree);
    const leaves = Buffer.from(await tree.read(levels[0]?.offset ?? 0, dataBlocks * 32));
    return Array.from({length: dataBlocks}, (_, index) =>
      leaves.toString('base64', index * 32, index * 32 + 32),
    );
  }
  await using file = await openFileSource(artefactPath(image, artefact));
  const hashes: string[] = [];
  for (let at = 0; at < file.size; at += 4096) {
    const block = await file.read(at, Math.min(4096, file.size - at));
    hashes.push(createHash('sha256').update(block).digest('base64'));
  }
  return hashes;
}

/** `zstd -d` of the whole /usr into a file, as `zstd -d | dd` writes a slot. */
export async function plainWrite(image: HawserImage, work: string, signal: AbortSignal) {
  const folder = await mkdtemp(join(work, 'apply-'));
  try {
    const packed = join(folder, 'usr.zst');
    // -f: an artefact may be a link, which zstd would pass over.
    await exec(['zstd', '-q', '-f', '-3', artefactPath(image, 'usr'), '-o', packed], {
      timeoutMs: HOUR_MS,
      signal,
    });
    const target = join(folder, 'slot');
    const started = performance.now();
    const line = `zstd -dcq ${packed} | dd of=${target} bs=1M conv=fsync status=none; times`;
    const {stdout} = await exec(['sh', '-c', line], {timeoutMs: HOUR_MS, signal});
    const cpu = [...(stdout.split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
    return {
      seconds: (performance.now() - started) / 1000,
      cpuSeconds: cpu.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0),
    };
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}
