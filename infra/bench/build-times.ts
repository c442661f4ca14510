/** How long builds take: again after a change to an agent, and from nothing. The checkout is not touched. */
import {appendFile, cp, mkdir, mkdtemp, rm, symlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {exec} from '../../services/common/exec.ts';

const BUILD_TIMEOUT_MS = 2_400_000;
const HELP_RUNS = 10;
const copied = [
  'services',
  'image-build',
  'machine-drivers',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
];

export interface BuildPlaces {
  /** The checkout. */
  readonly root: string;
  readonly cache: string;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Seconds of an unsigned build with warm caches, after one agent got other bytes. */
export async function rebuildSeconds(places: BuildPlaces): Promise<number> {
  return inCopy(places, async (copy, home) => {
    // a statement with an effect: a comment would not reach the bundle
    await appendFile(join(copy, 'services/enrol-agent/main.ts'), "\nprocess.title = 'hawser-enrol-bench';\n");
    return build(copy, home, places.cache, places);
  });
}

/** Seconds of a build with no cache at all: every package is fetched. Needs about 8 GB meanwhile. */
export async function coldBuildSeconds(places: BuildPlaces): Promise<number> {
  return inCopy(places, async (copy, home) => build(copy, home, join(home, 'cache'), places));
}

/** Seconds of each of several runs of `hawser --help`. */
export async function helpSeconds(places: BuildPlaces): Promise<number[]> {
  const runs: number[] = [];
  for (let round = 0; round < HELP_RUNS; round++) {
    const started = performance.now();
    await exec([join(places.root, 'services/cli/hawser'), '--help'], {
      timeoutMs: 30_000,
      signal: places.signal,
    });
    runs.push((performance.now() - started) / 1000);
  }
  return runs;
}

async function build(copy: string, home: string, cache: string, places: BuildPlaces): Promise<number> {
  const started = performance.now();
  await exec([join(copy, 'services/cli/hawser'), 'image', 'build', '--unsigned'], {
    timeoutMs: BUILD_TIMEOUT_MS,
    signal: places.signal,
    env: {...places.env, HAWSER_HOME: home, HAWSER_CACHE: cache},
  });
  return (performance.now() - started) / 1000;
}

async function inCopy<Result>(
  places: BuildPlaces,
  work: (copy: string, home: string) => Promise<Result>,
): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-bench-'));
  try {
    const copy = join(folder, 'copy');
    await mkdir(copy);
    for (const name of copied) await cp(join(places.root, name), join(copy, name), {recursive: true});
    await symlink(join(places.root, 'node_modules'), join(copy, 'node_modules'));
    const home = join(folder, 'home');
    await mkdir(home);
    return await work(copy, home);
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}
