/** The two releases of the demonstration: Debian trixie as it was released, and with its updates and security fixes. */
import {mkdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Type, type Static} from 'typebox';
import {ImageManifest} from '../../services/common/contracts/image.ts';
import {parseJson} from '../../services/common/parse.ts';
import {resolvePaths} from '../../services/common/paths.ts';
import type {Progress} from '../../services/common/progress.ts';
import {hawser} from './hawser.ts';

export interface DemoImage {
  readonly folder: string;
  readonly version: string;
  readonly rootHash: string;
  readonly locked: boolean;
}

const suites = {first: 'trixie', second: 'trixie,trixie-updates,trixie-security'} as const;

const Listed = Type.Array(
  Type.Object({version: Type.String(), fullBytes: Type.Integer(), rootHash: Type.String()}),
);
export type ListedReleases = Static<typeof Listed>;

/**
 * Builds `1.N.0` and `1.N.1`, seconds when the steps are cached. Published versions are never used twice, so N grows
 * when an image has changed since.
 */
export async function buildReleases(
  progress: Progress,
  signal: AbortSignal,
): Promise<{readonly first: DemoImage; readonly second: DemoImage}> {
  await hawser(['keys', 'init'], {signal});
  await hawser(['release', 'keys', 'init'], {signal});
  const published = await listReleases(signal);
  const clashes = (image: DemoImage) =>
    published.some(({version, rootHash}) => version === image.version && rootHash !== image.rootHash);
  const minors = published.map(({version}) => Number(version.split('.')[1]));
  for (let minor = Math.max(0, ...minors); ; minor++) {
    const first = await buildRelease('first', `1.${minor}.0`, progress, signal);
    if (clashes(first)) continue;
    const second = await buildRelease('second', `1.${minor}.1`, progress, signal);
    if (!clashes(second)) return {first, second};
  }
}

/** Resolves and builds one of them, signed with the user's keys. */
async function buildRelease(
  which: keyof typeof suites,
  version: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<DemoImage> {
  const run = {signal, onLine: (line: string) => progress.note(`  ${version}: ${line}`)};
  const locks = join(resolvePaths(process.env).cache, 'quickstart');
  await mkdir(locks, {recursive: true});
  const source = ['--suites', suites[which], '--lock', join(locks, `${which}.lock.json`)];
  await hawser(['image', 'lock', ...source], {signal});
  const printed = await hawser(['image', 'build', ...source, '--version', version], run);
  const folder = printed.trim().split('\n').at(-1) ?? '';
  const path = join(folder, 'manifest.json');
  const {locked, rootHash} = parseJson(ImageManifest, await readFile(path, 'utf8'), path);
  return {folder, version, rootHash, locked};
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
