/**
 * Where images were published to: `<home>/published/`, one file an image and place. Written by `hawser image publish`,
 * read by drivers, whose machines then need no image id.
 */
import {mkdir, readFile, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {compare, valid} from 'semver';
import {Type, type Static} from 'typebox';
import {systemErrorCode} from './errors.ts';
import {writeFileAtomic} from './fs-atomic.ts';
import {sha256} from './hash.ts';
import {parseJson} from './parse.ts';

export const PublishedImage = Type.Object({
  schema: Type.Literal(1),
  /** The driver whose machines start from it. */
  driver: Type.String({minLength: 1}),
  /** What the driver calls the place: a cloud's endpoint with project and region. Compared as it is. */
  place: Type.String(),
  /** How the place knows the image: an AMI's or Glance's id, an absolute path. */
  reference: Type.String({minLength: 1}),
  /** The release's version. */
  version: Type.String({minLength: 1}),
  /** The root hash of the image's /usr, hex. */
  rootHash: Type.String({pattern: '^[0-9a-f]{64}$'}),
  /** ISO 8601. */
  at: Type.String(),
});
export type PublishedImage = Static<typeof PublishedImage>;

function publishedFolder(home: string): string {
  return join(home, 'published');
}

/** Durable. An image of the same version at the same place is replaced. */
export async function recordPublished(home: string, image: PublishedImage): Promise<void> {
  const folder = publishedFolder(home);
  await mkdir(folder, {recursive: true, mode: 0o700});
  const key = sha256(JSON.stringify([image.driver, image.place, image.version])).slice(0, 24);
  await writeFileAtomic(
    join(folder, `${image.driver}-${key}.json`),
    `${JSON.stringify(image, undefined, 2)}\n`,
  );
}

/** Of one driver, newest version first (then the one published last). Throws ParseError for a damaged file. */
export async function listPublished(
  home: string,
  driver: string,
  place?: string,
): Promise<readonly PublishedImage[]> {
  const folder = publishedFolder(home);
  const images: PublishedImage[] = [];
  for (const name of await jsonFiles(folder)) {
    const image = parseJson(PublishedImage, await readFile(join(folder, name), 'utf8'), join(folder, name));
    if (image.driver === driver && (place === undefined || image.place === place)) images.push(image);
  }
  return images.sort((a, b) => compareVersions(b.version, a.version) || b.at.localeCompare(a.at));
}

async function jsonFiles(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter(name => name.endsWith('.json'));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function compareVersions(a: string, b: string): number {
  return valid(a) !== null && valid(b) !== null ? compare(a, b) : a.localeCompare(b, 'en', {numeric: true});
}
