/** The folder of a finished image: manifest and everything beside it, in one rename. */
import {cp, rename, rm, symlink, writeFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import type {Artefact, ImageManifest} from '../services/common/contracts/image.ts';
import {syncFolder, writeFileAtomic} from '../services/common/fs-atomic.ts';
import {sha256} from '../services/common/hash.ts';
import type {PackageSize} from './contents/sizes.ts';
import {inputsDigest, type Inputs} from './inputs.ts';
import {serializeLock, type Lock} from './packages/lock.ts';
import type {Recipe} from './recipe/recipe.ts';

/** Names in an image's folder that the manifest does not list. */
export const sideFiles = {
  manifest: 'manifest.json',
  lock: 'image.lock.json',
  recipe: 'recipe.json',
  inputs: 'inputs.json',
  sizes: 'sizes.json',
  signatures: 'signatures',
} as const;

export interface Product {
  readonly recipe: Recipe;
  readonly lock: Lock;
  readonly locked: boolean;
  readonly version: string;
  readonly inputs: Inputs;
  readonly rootHash: string;
  /** As `uname -r` prints it. */
  readonly kernel: string;
  readonly sizes: readonly PackageSize[];
  readonly artefacts: Readonly<Record<string, Artefact>>;
  /** System extensions: name -> root hash. */
  readonly sysexts: Readonly<Record<string, string>>;
  /** Folder of detached signatures; absent for an unsigned image. */
  readonly signatures: string | undefined;
}

/** Completes `out`, which holds the artefacts, and makes it the current image of `images`. Returns its new path. */
export async function publishImage(
  images: string,
  out: string,
  product: Product,
): Promise<{folder: string; manifest: ImageManifest}> {
  const {recipe, version, rootHash} = product;
  const lockText = serializeLock(product.lock);
  const manifest: ImageManifest = {
    schema: 1,
    name: recipe.name,
    version,
    architecture: 'x86_64',
    locked: product.locked,
    signed: product.signatures !== undefined,
    rootHash,
    kernel: product.kernel,
    lockSha256: sha256(lockText),
    inputs: inputsDigest(product.inputs),
    artefacts: product.artefacts,
    ...(Object.keys(product.sysexts).length === 0 ? {} : {sysexts: product.sysexts}),
  };
  await writeFile(join(out, sideFiles.lock), lockText);
  await writeFile(join(out, sideFiles.recipe), json(recipe));
  await writeFile(join(out, sideFiles.inputs), json(product.inputs));
  await writeFile(join(out, sideFiles.sizes), json(product.sizes));
  if (product.signatures !== undefined)
    await cp(product.signatures, join(out, sideFiles.signatures), {recursive: true});
  await writeFileAtomic(join(out, sideFiles.manifest), json(manifest), 0o644);

  const folder = join(images, `${version}-${rootHash.slice(0, 12)}`);
  await replaceFolder(out, folder);
  await pointCurrentTo(images, folder);
  return {folder, manifest};
}

/** An older image of the same name goes only when the new one stands in its place. */
async function replaceFolder(fresh: string, folder: string): Promise<void> {
  const old = `${fresh}.old`;
  const replaced = await rename(folder, old).then(
    () => true,
    () => false,
  );
  await rename(fresh, folder);
  if (replaced) await rm(old, {recursive: true, force: true});
}

async function pointCurrentTo(images: string, folder: string): Promise<void> {
  const link = join(images, '.current.new');
  await rm(link, {force: true});
  await symlink(basename(folder), link);
  await rename(link, join(images, 'current'));
  await syncFolder(images);
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
