/** Built images on disk: found by name or path, opened with a check that says what is wrong. */
import {readdir, readFile, realpath, stat} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import {Type} from 'typebox';
import {ImageManifest} from '../services/common/contracts/image.ts';
import {systemErrorCode} from '../services/common/errors.ts';
import {parseJson, ParseError} from '../services/common/parse.ts';
import {ImageError} from './errors.ts';
import {Inputs} from './inputs.ts';
import {Lock} from './packages/lock.ts';
import {sideFiles} from './publish.ts';
import {Recipe} from './recipe/recipe.ts';

export interface Image {
  /** Absolute, links resolved. */
  readonly folder: string;
  readonly manifest: ImageManifest;
}

const NEWEST_SCHEMA = 1;
const AnySchema = Type.Object({schema: Type.Integer()});
export const Sizes = Type.Array(
  Type.Object({name: Type.String(), size: Type.Integer(), files: Type.Integer()}),
);

/** The folder that `named` means: a path (with a slash), a name in `images`, or the current image. */
export function imagePath(images: string, cwd: string, named: string | undefined): string {
  if (named === undefined) return join(images, 'current');
  return named.includes('/') || named === '.' || named === '..' ? resolve(cwd, named) : join(images, named);
}

/** Throws {@link ImageError} `not-an-image` or `image-too-new`. */
export async function openImage(path: string): Promise<Image> {
  const found = await stat(path).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw notAnImage(`${path} cannot be read (${systemErrorCode(error) ?? 'error'})`, error);
  });
  if (found === undefined) throw notAnImage(`there is no image at ${path}`);
  const folder = await realpath(found.isDirectory() ? path : dirname(path));
  const file = join(folder, sideFiles.manifest);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw notAnImage(`${folder} has no ${sideFiles.manifest} that can be read`, error);
  }
  try {
    const {schema} = parseJson(AnySchema, text, file);
    if (schema > NEWEST_SCHEMA) {
      throw new ImageError(
        'image-too-new',
        `${file} has schema ${schema}, this version of hawser knows ${NEWEST_SCHEMA}`,
        {
          remedy: 'use a newer hawser',
        },
      );
    }
    return {folder, manifest: parseJson(ImageManifest, text, file)};
  } catch (error) {
    if (error instanceof ParseError) throw notAnImage(error.message, error);
    throw error;
  }
}

/** Path of an artefact. Throws `not-an-image` when the manifest lists none, or when its size is another. */
export async function artefactPath({folder, manifest}: Image, name: string): Promise<string> {
  const artefact = manifest.artefacts[name];
  if (artefact === undefined) throw notAnImage(`the image in ${folder} has no ${name}`);
  const path = join(folder, artefact.file);
  const size = await stat(path).then(
    found => found.size,
    () => undefined,
  );
  if (size === undefined) throw notAnImage(`${path} is missing`);
  if (size !== artefact.size)
    throw notAnImage(`${path} has ${size} bytes, its manifest says ${artefact.size}`);
  return path;
}

/** What the image was built from. Throws `not-an-image` when a file is absent or damaged. */
export async function readOrigin(image: Image): Promise<{lock: Lock; recipe: Recipe; inputs: Inputs}> {
  return {
    lock: await readSide(image, sideFiles.lock, Lock),
    recipe: await readSide(image, sideFiles.recipe, Recipe),
    inputs: await readSide(image, sideFiles.inputs, Inputs),
  };
}

/** Sizes by package, largest first. */
export async function readSizes(
  image: Image,
): Promise<readonly {name: string; size: number; files: number}[]> {
  return readSide(image, sideFiles.sizes, Sizes);
}

export async function readLock(image: Image): Promise<Lock> {
  return readSide(image, sideFiles.lock, Lock);
}

async function readSide<Schema extends Parameters<typeof parseJson>[0]>(
  image: Image,
  name: string,
  schema: Schema,
) {
  const path = join(image.folder, name);
  try {
    return parseJson(schema, await readFile(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof ParseError) throw notAnImage(error.message, error);
    throw notAnImage(`${path} is missing: the image was made by an older hawser, or not whole`, error);
  }
}

/** Folders of images, sorted by name, without what is hidden or a link. */
export async function imageFolders(images: string): Promise<string[]> {
  const entries = await readdir(images, {withFileTypes: true}).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  });
  return entries
    .filter(entry => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(entry => entry.name)
    .sort();
}

function notAnImage(message: string, cause?: unknown): ImageError {
  return new ImageError('not-an-image', message, {
    remedy: 'see "hawser image ls", or build one with "hawser image build"',
    ...(cause === undefined ? {} : {cause}),
  });
}
