/** From a lock to a folder of artefacts: what `hawser image build` does, step by step. */
import {chmod, copyFile, mkdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {Artefact, ArtefactName, ImageManifest} from '../services/common/contracts/image.ts';
import {sha256File} from '../services/common/hash.ts';
import {withStep} from '../services/common/progress.ts';
import {checkBudget, type Budget} from './budget.ts';
import {megabytes, type PackageSize} from './contents/sizes.ts';
import {ImageError} from './errors.ts';
import {describeFailure} from './failure.ts';
import {exporterFor} from './formats/exporters/index.ts';
import {rawFileName} from './formats/exporters/raw.ts';
import {exportSysext} from './formats/exporters/sysext.ts';
import type {Inputs} from './inputs.ts';
import {keySetPaths} from './keys/key-set.ts';
import {prepareBuild, type PrepareRequest} from './preparation.ts';
import {publishImage} from './publish.ts';
import {checkRecipeFolder} from './recipe/load.ts';
import {checkSigning, type Signing} from './signing.ts';
import {buildAgents} from './steps/agents.ts';
import {compressDisk} from './steps/compress.ts';
import {measureTree, writeBills} from './steps/contents.ts';
import type {BuildContext} from './steps/context.ts';
import {buildDisk} from './steps/disk.ts';
import {exportDisk} from './steps/export.ts';
import {buildInitrd} from './steps/initrd.ts';
import {buildKernel, type Kernel} from './steps/kernel.ts';
import {unpackTarballs} from './steps/npm-packages.ts';
import {writeSecureBootVars} from './steps/secure-boot-vars.ts';
import {buildSysexts, type BuiltSysext} from './steps/sysexts.ts';
import {buildBaseTree, buildTree} from './steps/tree.ts';
import {buildBootLoader, buildUki, prepareSignatures} from './steps/uki.ts';
import {buildUsrImage, type UsrImage} from './steps/usr-image.ts';
import {withWorkFolder} from './workplace.ts';

export interface BuildRequest extends PrepareRequest {
  /** Folder that holds `services/`, where the agents' sources are. */
  readonly sources: string;
  /** False when the lock was resolved anew for this build. */
  readonly locked: boolean;
  readonly version: string;
  readonly signing: Signing;
  /** Also makes the compressed disk that is published. */
  readonly release: boolean;
  /** Unchecked when absent. */
  readonly budget: Budget | undefined;
  readonly inputs: Inputs;
  /** Folder of images; the new one becomes `current`. */
  readonly images: string;
}

export interface BuiltImage {
  readonly folder: string;
  readonly manifest: ImageManifest;
}

/** Builds and returns the image's folder. Throws HawserError of the part at fault; nothing half-made is left. */
export async function buildImage(request: BuildRequest): Promise<BuiltImage> {
  // Modes in the image must not depend on who builds it.
  const umask = process.umask(0o022);
  try {
    await checkSigning(request.signing);
    await checkRecipeFolder(request.recipe, request.recipeFolder);
    request.recipe.export.formats.forEach(exporterFor); // a wrong name is said now, not when all else is built
    const context = await prepareBuild(request);
    // The trees are hard links to the cache, so they are made on its file system; artefacts where they will stay.
    return await withWorkFolder(request.cache, work =>
      withWorkFolder(request.images, out => build(request, context, work, out)),
    );
  } catch (error) {
    throw describeFailure(error, request);
  } finally {
    process.umask(umask);
  }
}

/** What the steps before the disk have made. */
interface Parts {
  readonly kernel: Kernel;
  readonly initrd: string;
  readonly agents: Readonly<Record<string, string>>;
  readonly image: UsrImage;
  readonly sizes: readonly PackageSize[];
  readonly uki: string;
  readonly bootLoader: string;
  readonly signatures: string | undefined;
  readonly sysexts: readonly BuiltSysext[];
}

async function build(
  request: BuildRequest,
  context: BuildContext,
  work: string,
  out: string,
): Promise<BuiltImage> {
  const {progress, version, recipe, release} = request;
  const parts = await buildParts(request, context, work);
  const {image} = parts;
  const name = `${recipe.name}-${version}`;
  const disk = join(recipe.export.formats.includes('raw') ? out : work, rawFileName(name));
  const enrol = parts.signatures === undefined ? undefined : keySetPaths(parts.signatures).enrolment;
  await withStep(progress, 'disk', () =>
    buildDisk(context, {version, image, uki: parts.uki, bootLoader: parts.bootLoader, enrol}, work, disk),
  );
  const artefacts: Partial<Record<ArtefactName, Artefact>> = await withStep(
    progress,
    'formats, each read again',
    () =>
      exportDisk(recipe.export.formats, {
        disk,
        folder: out,
        name,
        release: {version, rootHash: image.rootHash},
        signal: request.signal,
      }),
    made =>
      Object.entries(made)
        .map(([what, {size}]) => `${what} ${megabytes(size)}`)
        .join(', '),
  );
  const extensions: Record<string, Artefact> = {};
  for (const {name, image, rootHash} of parts.sysexts) {
    const {signal} = request;
    const {name: key, ...artefact} = await exportSysext({folder: out, name, image, rootHash, signal});
    extensions[key] = artefact;
  }
  await withStep(progress, 'bills of materials', async () => {
    const [spdx, cyclonedx] = [`${name}.spdx.json`, `${name}.cdx.json`];
    await writeBills(
      context,
      {version, rootHash: image.rootHash, agents: parts.agents, sysexts: parts.sysexts},
      join(out, spdx),
      join(out, cyclonedx),
    );
    await copyFile(parts.bootLoader, join(out, 'systemd-bootx64.efi'));
    artefacts['sbom.spdx'] = await describeFile(out, spdx);
    artefacts['sbom.cdx'] = await describeFile(out, cyclonedx);
    artefacts['boot-loader'] = await describeFile(out, 'systemd-bootx64.efi');
  });
  if (release) artefacts['disk.zst'] = await compress(request, context, disk, out, artefacts.disk?.sha256);
  if (request.budget !== undefined) {
    const costs = {
      qcow2: artefacts.qcow2?.size,
      compressed: artefacts['disk.zst']?.size,
      usr: image.bytes,
      uki: (await stat(parts.uki)).size,
    };
    checkBudget(request.budget, {...costs, initrd: (await stat(parts.initrd)).size});
  }
  if (parts.signatures !== undefined) await writeSecureBootVars(context, parts.signatures, work, out);
  await chmod(out, 0o755);
  const {lock, locked, inputs} = request;
  const {sizes, signatures, kernel} = parts;
  return publishImage(request.images, out, {
    recipe,
    lock,
    locked,
    version,
    inputs,
    sizes,
    artefacts: {...artefacts, ...extensions},
    signatures,
    rootHash: image.rootHash,
    kernel: kernel.version,
    sysexts: Object.fromEntries(parts.sysexts.map(one => [one.name, one.rootHash])),
  });
}

async function buildParts(request: BuildRequest, context: BuildContext, work: string): Promise<Parts> {
  const {recipe, lock, progress, signal, signing, version} = request;
  const kernel = await withStep(progress, 'kernel and modules', () => buildKernel(context));
  const base = await withStep(progress, 'base tree', () => buildBaseTree(context, kernel));
  const initrd = await withStep(progress, 'initrd', () => buildInitrd(context, base, kernel));
  const npm = await unpackTarballs(context.cache, join(request.cache, 'npm'), lock.npm, signal);
  const agents = await withStep(progress, 'agents', () =>
    buildAgents(recipe.provision.agents, request.sources, work, signal),
  );
  const sizes = await withStep(progress, '/usr tree', async () => {
    const usr = await buildTree(context, {base, kernel, version, agents, npm}, work);
    return measureTree(context, usr);
  });
  const image = await withStep(
    progress,
    '/usr image and verity tree',
    () => buildUsrImage(context, work),
    ({bytes, rootHash}) => `${megabytes(bytes)}, root hash ${rootHash.slice(0, 16)}…`,
  );
  await mkdir(join(work, 'signatures'));
  const signatures = await prepareSignatures(signing, work);
  const uki = await withStep(progress, 'unified kernel image', () =>
    buildUki(context, {kernel, initrd, rootHash: image.rootHash, signing}, work),
  );
  const bootLoader = await buildBootLoader(context, signing, work);
  const input = {version, signing, usr: join(work, 'usr'), signatures};
  const sysexts =
    recipe.sysexts === undefined
      ? []
      : await withStep(progress, 'system extensions', () => buildSysexts(context, input, work));
  return {kernel, initrd, agents, image, sizes, uki, bootLoader, signatures, sysexts};
}

async function compress(
  request: BuildRequest,
  context: BuildContext,
  disk: string,
  out: string,
  sha256: string | undefined,
): Promise<Artefact> {
  if (sha256 === undefined) {
    throw new ImageError('recipe-invalid', 'a release needs the raw disk', {
      remedy: 'add raw to export.formats in the recipe',
    });
  }
  const file = `${request.recipe.name}-${request.version}.raw.zst`;
  return withStep(
    request.progress,
    'compressed disk (takes minutes)',
    () => compressDisk(context, disk, sha256, file),
    ({size}) => `${megabytes(size)} in ${out}/${file}`.replace(`${out}/`, ''),
  );
}

async function describeFile(folder: string, file: string): Promise<Artefact> {
  const path = join(folder, file);
  return {file, size: (await stat(path)).size, sha256: await sha256File(path)};
}
