/** Recipe in, lock out: every package and tarball by exact version and hash. */
import {createHash} from 'node:crypto';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {sha256} from '../../services/common/hash.ts';
import {ImageError} from '../errors.ts';
import type {Recipe} from '../recipe/recipe.ts';
import {openApt} from './apt.ts';
import type {Lock, LockedPackage} from './lock.ts';
import type {Mirrors} from './mirrors.ts';
import {resolveTarball} from './npm.ts';

/** What the lock answers: the parts of the recipe that decide the package set. */
export function lockRequest(recipe: Recipe): string {
  const {sources, build} = recipe;
  // A recipe without extensions keeps the request that it had before there were any.
  const sysexts = recipe.sysexts?.map(({name, packages = []}) => ({name, packages}));
  return sha256(
    JSON.stringify({sources, tools: build.tools, packages: build.packages, kernel: build.kernel, sysexts}),
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
    const sysexts: Record<string, LockedPackage[]> = {};
    for (const {name, packages = []} of recipe.sysexts ?? []) {
      const all = packages.length === 0 ? image : await apt.closure([...recipe.build.packages, ...packages]);
      sysexts[name] = packagesBeyond(name, image, all);
    }
    return {
      schema: 1,
      request: lockRequest(recipe),
      epoch,
      seed: seedOf(recipe.name),
      tools,
      image,
      kernel: [kernel],
      npm,
      ...(recipe.sysexts === undefined ? {} : {sysexts}),
    };
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

/**
 * What an extension adds to the image's packages. Throws {@link ImageError} `recipe-invalid` when its packages would
 * not have the image as it is.
 */
export function packagesBeyond(
  sysext: string,
  image: readonly LockedPackage[],
  all: readonly LockedPackage[],
): LockedPackage[] {
  const together = new Map(all.map(entry => [entry.name, entry.sha256]));
  const other = image.find(entry => together.get(entry.name) !== entry.sha256);
  if (other !== undefined) {
    throw new ImageError(
      'recipe-invalid',
      `sysexts: the packages of ${sysext} do not go with the image's ${other.name} ${other.version}`,
      {remedy: 'take out the package that conflicts, or move it to build.packages'},
    );
  }
  const names = new Set(image.map(({name}) => name));
  return all.filter(({name}) => !names.has(name));
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
