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
  readonly locked: boolean;
}

const plans = {
  first: {version: '1.0.0', suites: 'trixie'},
  second: {version: '1.0.1', suites: 'trixie,trixie-updates,trixie-security'},
} as const;

/** Resolves and builds one of them; seconds when the steps are cached. Signed with the user's keys, made when there are none. */
export async function buildRelease(
  which: keyof typeof plans,
  progress: Progress,
  signal: AbortSignal,
): Promise<DemoImage> {
  const {version, suites} = plans[which];
  const run = {signal, onLine: (line: string) => progress.note(`  ${line}`)};
  const locks = join(resolvePaths(process.env).cache, 'quickstart');
  await mkdir(locks, {recursive: true});
  const source = ['--suites', suites, '--lock', join(locks, `${which}.lock.json`)];
  await hawser(['keys', 'init'], {signal});
  await hawser(['image', 'lock', ...source], {signal});
  const printed = await hawser(['image', 'build', ...source, '--version', version], run);
  const folder = printed.trim().split('\n').at(-1) ?? '';
  const path = join(folder, 'manifest.json');
  const {locked} = parseJson(ImageManifest, await readFile(path, 'utf8'), path);
  return {folder, version, locked};
}

const Listed = Type.Array(Type.Object({version: Type.String(), fullBytes: Type.Integer()}));
export type ListedReleases = Static<typeof Listed>;

/** Keys, repository, and the releases in it; what is published already stays as it is. */
export async function publishReleases(
  images: readonly DemoImage[],
  progress: Progress,
  signal: AbortSignal,
): Promise<ListedReleases> {
  const run = {signal, onLine: (line: string) => progress.note(`  ${line}`)};
  await hawser(['release', 'keys', 'init'], {signal});
  for (const {folder} of images) {
    await hawser(
      ['release', 'publish', folder, '--notes', 'made by the quickstart', '--allow-unlocked'],
      run,
    );
  }
  return parseJson(Listed, await hawser(['release', 'ls', '--output', 'json'], {signal}), 'release ls');
}
