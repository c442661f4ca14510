/** Recipe in, lock out: every package and tarball by exact version and hash. */
import {createHash} from 'node:crypto';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {sha256} from '../../services/common/hash.ts';
import type {Recipe} from '../recipe/recipe.ts';
import {openApt} from './apt.ts';
import type {Lock} from './lock.ts';
import type {Mirrors} from './mirrors.ts';
import {resolveTarball} from './npm.ts';

/** What the lock answers: the parts of the recipe that decide the package set. */
export function lockRequest(recipe: Recipe): string {
  const {sources, build} = recipe;
  return sha256(
    JSON.stringify({sources, tools: build.tools, packages: build.packages, kernel: build.kernel}),
  );
}

/** Asks the signed archive and npm; `epoch` (seconds) becomes the time stamp of everything in the image. */
export async function resolveLock(
  recipe: Recipe,
  mirrors: Mirrors,
  epoch: number,
  signal: AbortSignal,
): Promise<Lock> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-apt-'));
  try {
    const {suites, components} = recipe.sources.debian;
    const apt = await openApt(folder, {mirrors, suites, components}, signal);
    const [tools, image, kernel] = [
      await apt.closure(recipe.build.tools),
      await apt.closure(recipe.build.packages),
      await apt.kernel(recipe.build.kernel),
    ];
    const npm = await Promise.all(
      Object.entries(recipe.sources.npm).map(([name, version]) => resolveTarball(name, version, signal)),
    );
    const request = lockRequest(recipe);
    return {schema: 1, request, epoch, seed: seedOf(recipe.name), tools, image, kernel: [kernel], npm};
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

/** One seed for all releases of a name: UUIDs and verity salt stay the same, which keeps updates small (D4). */
function seedOf(name: string): string {
  const bytes = createHash('sha256').update(`hawser image seed\0${name}`).digest().subarray(0, 16);
  // RFC 9562, 5.8: version 8 and the variant bits mark a UUID of one's own making.
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
