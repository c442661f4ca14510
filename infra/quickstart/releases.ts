/** The releases of the demonstration: Debian trixie as it was released, with its updates and security fixes, and two that are no good. */
import {mkdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Type, type Static} from 'typebox';
import {ImageManifest} from '../../services/common/contracts/image.ts';
import {parseJson} from '../../services/common/parse.ts';
import {resolvePaths} from '../../services/common/paths.ts';
import type {Progress} from '../../services/common/progress.ts';
import {badKinds, writeBadRecipe, type BadKind} from './bad-recipe.ts';
import {hawser} from './hawser.ts';

export interface DemoImage {
  readonly folder: string;
  readonly version: string;
  readonly rootHash: string;
  readonly locked: boolean;
}

/** What the demonstration publishes: the release that machines are made of, and those that are promoted, in order. */
export interface DemoReleases {
  readonly first: DemoImage;
  readonly later: readonly DemoImage[];
}

const suites = {old: 'trixie', new: 'trixie,trixie-updates,trixie-security'} as const;

interface Source {
  readonly patch: number;
  readonly suites: keyof typeof suites;
  readonly bad?: BadKind;
}
const old: Source = {patch: 0, suites: 'old'};
const good: readonly Source[] = [{patch: 1, suites: 'new'}];
const bad: readonly Source[] = badKinds.map((kind, index) => ({patch: 2 + index, suites: 'new', bad: kind}));

const Listed = Type.Array(
  Type.Object({version: Type.String(), fullBytes: Type.Integer(), rootHash: Type.String()}),
);
export type ListedReleases = Static<typeof Listed>;

/**
 * Builds `1.N.0` and `1.N.1` (or, bad ones, `1.N.2` and `1.N.3`), seconds when the steps are cached. Published versions
 * are never used twice, so N grows when an image has changed since.
 */
export async function buildReleases(
  kind: 'good' | 'bad',
  progress: Progress,
  signal: AbortSignal,
): Promise<DemoReleases> {
  await hawser(['keys', 'init'], {signal});
  await hawser(['release', 'keys', 'init'], {signal});
  const published = await listReleases(signal);
  const clashes = (image: DemoImage) =>
    published.some(({version, rootHash}) => version === image.version && rootHash !== image.rootHash);
  // The image built last is the one that "machine create" takes by default: one that boots.
  const sources: readonly Source[] = kind === 'good' ? [old, ...good] : [...bad, old];
  const minors = published.map(({version}) => Number(version.split('.')[1]));
  for (let minor = Math.max(0, ...minors); ; minor++) {
    const images: DemoImage[] = [];
    for (const source of sources) {
      const image = await buildRelease(source, minor, progress, signal);
      if (clashes(image)) break;
      images.push(image);
    }
    if (images.length < sources.length) continue;
    const first = images[sources.indexOf(old)];
    if (first !== undefined) return {first, later: images.filter(image => image !== first)};
  }
}

/** Resolves and builds one of them, signed with the user's keys. */
async function buildRelease(
  source: Source,
  minor: number,
  progress: Progress,
  signal: AbortSignal,
): Promise<DemoImage> {
  const version = `1.${minor}.${source.patch}`;
  const run = {signal, onLine: (line: string) => progress.note(`  ${version}: ${line}`)};
  const folder = join(resolvePaths(process.env).cache, 'quickstart');
  await mkdir(folder, {recursive: true});
  const lock = ['--suites', suites[source.suites], '--lock', join(folder, `${source.suites}.lock.json`)];
  await hawser(['image', 'lock', ...lock], {signal});
  const recipe =
    source.bad === undefined
      ? []
      : ['--recipe', await writeBadRecipe(source.bad, join(folder, `recipe-${source.bad}`))];
  const printed = await hawser(['image', 'build', ...recipe, ...lock, '--version', version], run);
  const image = printed.trim().split('\n').at(-1) ?? '';
  const path = join(image, 'manifest.json');
  const {locked, rootHash} = parseJson(ImageManifest, await readFile(path, 'utf8'), path);
  return {folder: image, version, rootHash, locked};
}

/** Puts them into the repository; what is published already stays as it is. */
export async function publishReleases(
  images: readonly DemoImage[],
  progress: Progress,
  signal: AbortSignal,
): Promise<ListedReleases> {
  const run = {signal, onLine: (line: string) => progress.note(`  ${line}`)};
  for (const {folder} of images) {
    await hawser(
      ['release', 'publish', folder, '--notes', 'made by the quickstart', '--allow-unlocked'],
      run,
    );
  }
  return listReleases(signal);
}

async function listReleases(signal: AbortSignal): Promise<ListedReleases> {
  return parseJson(Listed, await hawser(['release', 'ls', '--output', 'json'], {signal}), 'release ls');
}
