/** From a lock to a folder of artefacts: what `hawser image build` does, step by step. */
import {mkdir, mkdtemp, rename, rm, stat, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Artefact, ImageManifest} from '../services/common/contracts/image.ts';
import {syncFolder, writeFileAtomic} from '../services/common/fs-atomic.ts';
import {sha256, sha256File} from '../services/common/hash.ts';
import {withStep, type Progress} from '../services/common/progress.ts';
import {openCache} from './cache.ts';
import {ImageError} from './errors.ts';
import {keySetPaths} from './keys/key-set.ts';
import {fetchPackages} from './packages/fetch.ts';
import {serializeLock, type Lock} from './packages/lock.ts';
import type {Mirrors} from './packages/mirrors.ts';
import {fetchTarball} from './packages/npm.ts';
import {openStore} from './packages/store.ts';
import type {Recipe} from './recipe/recipe.ts';
import {buildAgents} from './steps/agents.ts';
import type {BuildContext} from './steps/context.ts';
import {buildDisk} from './steps/disk.ts';
import {exportQcow2} from './steps/export.ts';
import {buildInitrd} from './steps/initrd.ts';
import {buildKernel} from './steps/kernel.ts';
import {unpackTarballs} from './steps/npm-packages.ts';
import {ensureRoot} from './steps/root.ts';
import {writeSecureBootVars} from './steps/secure-boot-vars.ts';
import {buildBaseTree, buildTree} from './steps/tree.ts';
import {buildBootLoader, buildUki} from './steps/uki.ts';
import {buildUsrImage} from './steps/usr-image.ts';

export interface BuildRequest {
  readonly recipe: Recipe;
  readonly recipeFolder: string;
  /** Folder that holds `services/`, where the agents' sources are. */
  readonly sources: string;
  readonly lock: Lock;
  /** False when the lock was resolved anew for this build. */
  readonly locked: boolean;
  readonly mirrors: Mirrors;
  readonly version: string;
  readonly cache: string;
  readonly keys: string | undefined;
  /** See {@link ImageManifest}. */
  readonly inputs: string;
  /** Folder of images; the new one becomes `current`. */
  readonly images: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface BuiltImage {
  readonly folder: string;
  readonly manifest: ImageManifest;
}

/** Builds and returns the image's folder. Throws {@link ImageError}; nothing half-made is left. */
export async function buildImage(request: BuildRequest): Promise<BuiltImage> {
  const {lock, progress, signal} = request;
  const context = await prepare(request);
  const kernel = await withStep(progress, 'kernel and modules', () => buildKernel(context));
  const base = await withStep(progress, 'base tree', () => buildBaseTree(context, kernel));
  const initrd = await withStep(progress, 'initrd', () => buildInitrd(context, base, kernel));
  const npm = await unpackTarballs(context.cache, join(request.cache, 'npm'), lock.npm, signal);

  await mkdir(request.images, {recursive: true, mode: 0o700});
  const work = await mkdtemp(join(request.images, '.build-'));
  try {
    const agents = await withStep(progress, 'agents', () => buildAgents(request.recipe.provision.agents, request.sources, work, signal));
    await withStep(progress, '/usr tree', () => buildTree(context, {base, kernel, version: request.version, agents, npm}, work));
    const image = await withStep(
      progress,
      '/usr image and verity tree',
      () => buildUsrImage(context, work),
      ({bytes, rootHash}) => `${megabytes(bytes)}, root hash ${rootHash.slice(0, 16)}…`,
    );
    const uki = await withStep(
      progress,
      'unified kernel image',
      () => buildUki(context, {kernel, initrd, rootHash: image.rootHash, version: request.version, keys: request.keys}, work),
    );
    const bootLoader = await buildBootLoader(context, request.keys, work);
    const enrol = request.keys === undefined ? undefined : keySetPaths(request.keys).enrolment;
    const disk = await withStep(progress, 'disk', () => buildDisk(context, {version: request.version, image, uki, bootLoader, enrol}, work));
    const qcow2 = await withStep(progress, 'qcow2', () => exportQcow2(disk, join(work, 'disk.qcow2'), signal));
    const files = {disk, qcow2, usr: image.usr, tree: image.tree, uki, 'boot-loader': bootLoader};
    return await withStep(progress, 'manifest', () => publish(request, context, {work, files, rootHash: image.rootHash, kernel: kernel.version}));
  } finally {
    await rm(work, {recursive: true, force: true});
  }
}

async function prepare(request: BuildRequest): Promise<BuildContext> {
  const {lock, mirrors, progress, signal} = request;
  const store = openStore(join(request.cache, 'store'));
  await withStep(
    progress,
    'packages',
    async step => {
      const {bytes, gone} = await fetchPackages(store, mirrors, [...lock.tools, ...lock.image, ...lock.kernel], step, signal);
      for (const entry of lock.npm) await fetchTarball(join(request.cache, 'npm'), entry, signal);
      if (gone.length > 0) throw goneError(gone.map(({name, version}) => `${name} ${version}`));
      return bytes;
    },
    bytes => `${megabytes(bytes)} fetched`,
  );
  const root = (purpose: 'tools' | 'image') =>
    withStep(progress, `${purpose} root`, step =>
      ensureRoot({cache: request.cache, store, purpose, packages: lock[purpose], epoch: lock.epoch, step, signal}),
    );
  const toolsRoot = await root('tools');
  const imageRoot = await root('image');
  const cache = openCache(request.cache);
  return {recipe: request.recipe, recipeFolder: request.recipeFolder, lock, cache, store, toolsRoot, imageRoot, progress, signal};
}

interface Product {
  readonly work: string;
  readonly files: Readonly<Record<string, string>>;
  readonly rootHash: string;
  readonly kernel: string;
}

/** Moves the artefacts to their folder in one rename and points `current` at it. */
async function publish(request: BuildRequest, context: BuildContext, product: Product): Promise<BuiltImage> {
  const out = join(product.work, 'out');
  await mkdir(out);
  const artefacts: Record<string, Artefact> = {};
  for (const [name, path] of Object.entries(product.files)) {
    const file = artefactFile(name, request.version);
    await rename(path, join(out, file));
    artefacts[name] = {file, size: (await stat(join(out, file))).size, sha256: await sha256File(join(out, file))};
  }
  const lockText = serializeLock(request.lock);
  const manifest: ImageManifest = {
    schema: 1,
    name: request.recipe.name,
    version: request.version,
    architecture: 'x86_64',
    locked: request.locked,
    signed: request.keys !== undefined,
    rootHash: product.rootHash,
    kernel: product.kernel,
    lockSha256: sha256(lockText),
    inputs: request.inputs,
    artefacts,
  };
  await writeFile(join(out, 'image.lock.json'), lockText);
  if (request.keys !== undefined) await writeSecureBootVars(context, request.keys, product.work);
  await writeFileAtomic(join(out, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`, 0o644);

  const folder = join(request.images, `${request.version}-${product.rootHash.slice(0, 12)}`);
  await rm(folder, {recursive: true, force: true});
  await rename(out, folder);
  await pointCurrentTo(request.images, folder);
  return {folder, manifest};
}

async function pointCurrentTo(images: string, folder: string): Promise<void> {
  const link = join(images, '.current.new');
  await rm(link, {force: true});
  await symlink(folder, link);
  await rename(link, join(images, 'current'));
  await syncFolder(images);
}

function artefactFile(name: string, version: string): string {
  const files: Readonly<Record<string, string>> = {
    disk: `hawser-${version}.raw`,
    qcow2: `hawser-${version}.qcow2`,
    usr: `hawser-${version}.usr`,
    tree: `hawser-${version}.usr.tree`,
    uki: `hawser-${version}.efi`,
    'boot-loader': 'systemd-bootx64.efi',
  };
  return files[name] ?? `hawser-${version}.${name}`;
}

function goneError(names: readonly string[]): ImageError {
  return new ImageError('package-gone', `the archive no longer has ${names.join(', ')}`, {
    remedy: 'run "hawser image lock", review the difference and build again',
  });
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
