/** Builds in homes of their own, with the packages and roots of the machine's cache. */
import {mkdir, mkdtemp, readdir, readFile, rm, stat, symlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {ImageManifest} from '../../services/common/contracts/image.ts';
import {exec, type ExecResult} from '../../services/common/exec.ts';
import {parseJson} from '../../services/common/parse.ts';
import {resolvePaths} from '../../services/common/paths.ts';

export const main = join(import.meta.dirname, '../../services/cli/main.ts');

const sharedCache = resolvePaths(process.env).cache;

/** Whether packages and roots are there; without them these tests would first fetch and install for minutes. */
export async function haveRoots(t: ExecutionContext): Promise<boolean> {
  const roots = await readdir(join(sharedCache, 'roots')).catch(() => []);
  const kinds = new Set(roots.map(name => name.split('-')[0]));
  if (kinds.has('tools') && kinds.has('image')) return true;
  t.log('skipped: the cache holds no roots; run "hawser image build" first');
  t.pass();
  return false;
}

/** The tools that build images, unpacked; undefined, with a word about it, where no image was built yet. */
export async function findToolsRoot(t: ExecutionContext): Promise<string | undefined> {
  const roots = await readdir(join(sharedCache, 'roots')).catch(() => []);
  const found = roots.find(name => name.startsWith('tools-'));
  if (found !== undefined) return join(sharedCache, 'roots', found);
  t.log('skipped: the cache holds no tools root; run "hawser image build" first');
  t.pass();
  return undefined;
}

export async function temporaryHome(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-home-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  return folder;
}

/** A cache with the packages and roots of this machine, and no build step: every one is made anew. */
export async function cacheWithoutSteps(t: ExecutionContext): Promise<string> {
  // Beside the roots, since the trees are hard links to them.
  const folder = await mkdtemp(join(sharedCache, 'test-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  for (const name of ['store', 'roots', 'npm']) await symlink(join(sharedCache, name), join(folder, name));
  await mkdir(join(folder, 'steps'));
  return folder;
}

export interface Run {
  readonly home: string;
  readonly cache?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly umask?: string;
  readonly okCodes?: readonly number[];
}

export function environment({home, cache = sharedCache, env = {}}: Run): Record<string, string> {
  const {PATH = '/usr/sbin:/usr/bin:/sbin:/bin', HOME = '/root'} = process.env;
  return {PATH, HOME, HAWSER_HOME: home, HAWSER_CACHE: cache, ...env};
}

/** Runs the operator command. */
export async function hawser(run: Run, ...args: readonly string[]): Promise<ExecResult> {
  const argv = ['sh', '-c', `umask ${run.umask ?? '022'}; exec "$@"`, 'sh', process.execPath, main, ...args];
  return exec(argv, {
    timeoutMs: 900_000,
    env: environment(run),
    ...(run.cwd === undefined ? {} : {cwd: run.cwd}),
    ...(run.okCodes === undefined ? {} : {okCodes: run.okCodes}),
  });
}

export async function currentManifest(home: string): Promise<ImageManifest> {
  return parseJson(ImageManifest, await readFile(join(home, 'images/current/manifest.json'), 'utf8'), home);
}

/** What a build may not leave behind: names of work folders in a home and the cache. */
export async function leftovers(home: string, cache: string): Promise<string[]> {
  const found: string[] = [];
  for (const folder of [home, join(home, 'images'), cache, join(cache, 'steps')]) {
    for (const name of await readdir(folder).catch(() => []))
      if (name.startsWith('.')) found.push(join(folder, name));
  }
  return found;
}

export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
