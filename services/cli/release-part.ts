/** Joins releases with built images: the composition of `hawser release`. */
import {join} from 'node:path';
import {artefactPath, imagePath, openImage, readLock, type Image} from '../../image-build/images.ts';
import type {Command, CommandContext} from '../common/command.ts';
import {resolvePaths} from '../common/paths.ts';
import {CliError} from './errors.ts';
import {releaseCommands} from '../update-server/releases/commands.ts';
import type {ImageFile, ReleaseImage} from '../update-server/releases/ports.ts';

export function releasePart(): readonly Command[] {
  return releaseCommands({
    openImage: async (context, named) => describeImage(await openNamed(context, named)),
    // Only publishing needs it.
    buildPayload: async input =>
      (await import('../update-server/payload/build-payload.ts')).buildPayload(input),
  });
}

async function openNamed(context: CommandContext, named: string | undefined): Promise<Image> {
  const images = join(resolvePaths(context.env).home, 'images');
  return openImage(imagePath(images, context.cwd, named));
}

async function describeImage(image: Image): Promise<ReleaseImage> {
  const {name, version, rootHash, signed, locked} = image.manifest;
  const lock = await readLock(image);
  return {
    name,
    version,
    rootHash,
    signed,
    locked,
    // The tools that built the image are not in it.
    packages: [...lock.image, ...lock.kernel, ...lock.npm].map(({name, version}) => ({name, version})),
    files: {
      usr: await describeFile(image, 'usr'),
      tree: await describeFile(image, 'tree'),
      uki: await describeFile(image, 'uki'),
      bootLoader: await describeFile(image, 'boot-loader'),
    },
  };
}

async function describeFile(image: Image, name: string): Promise<ImageFile> {
  const path = await artefactPath(image, name);
  const artefact = image.manifest.artefacts[name];
  if (artefact === undefined) throw new CliError('bad-image', `the image in ${image.folder} has no ${name}`);
  return {path, size: artefact.size, sha256: artefact.sha256};
}
