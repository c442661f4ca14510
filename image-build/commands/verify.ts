/** `hawser image verify`: builds an image again from its own lock and recipe, and compares. */
import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {
  flagBoolean,
  type Command,
  type CommandContext,
  type CommandInput,
} from '../../services/common/command.ts';
import {sha256} from '../../services/common/hash.ts';
import {resolvePaths} from '../../services/common/paths.ts';
import {withStep} from '../../services/common/progress.ts';
import {ImageError} from '../errors.ts';
import {imagePath, openImage, readOrigin, type Image} from '../images.ts';
import {differingInputs, readInputs, type Inputs} from '../inputs.ts';
import {serializeLock} from '../packages/lock.ts';
import {openStore} from '../packages/store.ts';
import {buildImage} from '../pipeline.ts';
import {sideFiles} from '../publish.ts';
import type {Signing} from '../signing.ts';
import {ensureRoot} from '../steps/root.ts';
import {compareImages, type Verification} from '../verification.ts';
import {withWorkFolder} from '../workplace.ts';
import {machineMirrors, recipePaths, sourcesFolder} from '../workspace.ts';
import {outputFlag, recipeFlags} from './flags.ts';
import {printResult, wantsJson} from './output.ts';

export const verifyCommand: Command = {
  name: 'image verify',
  summary:
    'build an image again from its own lock and recipe, put its signatures on, and compare bit for bit',
  usage: 'IMAGE',
  arguments: {min: 1, max: 1},
  flags: [
    ...recipeFlags,
    {
      name: 'fresh',
      type: 'boolean',
      summary: 'use no cached build step, only packages and the roots made of them',
    },
    outputFlag,
  ],
  run: async (context, input) => {
    wantsJson(input);
    const {home, cache} = resolvePaths(context.env);
    const image = await openImage(imagePath(join(home, 'images'), context.cwd, input.args[0]));
    const otherInputs = await findOtherInputs(context, input, image);
    for (const name of otherInputs)
      context.warn(`this checkout differs from what the image was made from: ${name}`);
    const result = await withWorkFolder(cache, work =>
      rebuildAndCompare(context, input, {image, cache, work}),
    );
    const {rootHash, same, differences} = result;
    const reproduced = differences.length === 0;
    printResult(context, input, {reproduced, otherInputs, ...result}, () => [
      `root hash ${rootHash.published}: ${rootHash.published === rootHash.rebuilt ? 'the same' : `rebuilt ${rootHash.rebuilt}`}`,
      ...(same.length === 0 ? [] : [`the same bit for bit: ${same.join(', ')}`]),
      ...differences,
    ]);
    if (reproduced) return 0;
    throw new ImageError('not-reproduced', `${image.folder} was not reproduced`, {
      remedy:
        otherInputs.length > 0
          ? 'check out the commit that the image was made from, and verify again'
          : 'trust it only after you know why',
    });
  },
};

/** Names of inputs by which this checkout differs from the one that made the image. */
async function findOtherInputs(
  context: CommandContext,
  input: CommandInput,
  image: Image,
): Promise<string[]> {
  const {lock, recipe, inputs} = await readOrigin(image);
  if (sha256(serializeLock(lock)) !== image.manifest.lockSha256) {
    throw new ImageError(
      'not-an-image',
      `${join(image.folder, sideFiles.lock)} is not the lock that the manifest names`,
      {
        remedy: 'fetch the image again',
      },
    );
  }
  const here: Inputs = await readInputs({
    recipe,
    recipeFolder: recipePaths(context, input).folder,
    sources: sourcesFolder,
    lock,
    version: image.manifest.version,
    signing: signingOf(image),
    release: false,
  });
  // Whether the compressed disk is made as well changes no other byte.
  return differingInputs({...inputs, release: here['release'] ?? ''}, here);
}

function signingOf(image: Image): Signing {
  return image.manifest.signed
    ? {kind: 'attach', folder: join(image.folder, sideFiles.signatures)}
    : {kind: 'none'};
}

interface Place {
  readonly image: Image;
  readonly cache: string;
  readonly work: string;
}

async function rebuildAndCompare(
  context: CommandContext,
  input: CommandInput,
  {image, cache, work}: Place,
): Promise<Verification> {
  const {lock, recipe, inputs} = await readOrigin(image);
  const {progress, signal} = context;
  const formats = recipe.export.formats.filter(format => format !== 'qcow2');
  const rebuilt = await buildImage({
    recipe: {...recipe, export: {formats: formats.includes('raw') ? formats : ['raw', ...formats]}},
    recipeFolder: recipePaths(context, input).folder,
    sources: sourcesFolder,
    lock,
    locked: image.manifest.locked,
    mirrors: await machineMirrors(input),
    version: image.manifest.version,
    cache,
    ...(flagBoolean(input.flags, 'fresh') ? {stepCache: join(work, 'fresh')} : {}),
    signing: signingOf(image),
    release: false,
    budget: undefined,
    inputs,
    images: join(work, 'images'),
    progress,
    signal,
  });
  const store = openStore(join(cache, 'store'));
  const toolsRoot = await withStep(progress, 'tools root', step =>
    ensureRoot({cache, store, purpose: 'tools', packages: lock.tools, epoch: lock.epoch, step, signal}),
  );
  const folder = join(work, 'compare');
  await mkdir(folder);
  return withStep(progress, 'comparing', () =>
    compareImages({image, rebuilt, toolsRoot, work: folder, signal}),
  );
}
