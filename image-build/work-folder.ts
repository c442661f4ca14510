/**
 * Work folders: where something is made before one rename shows it whole. What a killed build left behind is
 * found by its name and swept by the next build.
 */
import {mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {exec} from '../services/common/exec.ts';
import {systemErrorCode} from '../services/common/errors.ts';
import {sha256} from '../services/common/hash.ts';
import {processExists} from '../services/common/process-identity.ts';

/** No step takes this long: an older work folder belongs to nobody, whichever machine made it. */
const STALE_MS = 86_400_000;
const SYNC_TIMEOUT_MS = 300_000;

/** `.WHAT-HOST-PID-RANDOM`: HOST tells process ids of other boots and containers apart. */
const workName = /^\.[a-z0-9]+-([0-9a-f]{8})-(\d+)-/;

/**
 * Makes `target` by `make(work)` in a new folder beside it, then flushes and renames `work`, or what `make` returned
 * (a path below `work`). When another process was first, its result stays: both are the same. Nothing is left when
 * `make` throws.
 */
export async function makeFolderOnce(
  target: string,
  what: string,
  make: (work: string) => Promise<string | void>,
): Promise<void> {
  const parent = join(target, '..');
  await mkdir(parent, {recursive: true});
  const host = await hostId();
  await sweep(parent, host);
  const work = await mkdtemp(join(parent, `.${what}-${host}-${process.pid}-`));
  try {
    const made = (await make(work)) ?? work;
    // Without this a power failure can leave the new name over files whose bytes were never written.
    await exec(['sync', '-f', made], {timeoutMs: SYNC_TIMEOUT_MS});
    await renameOnto(made, target);
  } finally {
    await rm(work, {recursive: true, force: true});
  }
}

async function renameOnto(made: string, target: string): Promise<void> {
  try {
    await rename(made, target);
  } catch (error) {
    // rename(2): a folder that is not empty is never replaced; somebody else made it in the meantime.
    const code = systemErrorCode(error);
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}

/** Removes what killed builds left in `folder`: of a process of this host that is gone, or older than a day. */
async function sweep(folder: string, host: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const match = workName.exec(name);
    if (match === null) continue;
    const path = join(folder, name);
    const orphaned = match[1] === host && !processExists(Number(match[2]));
    if (!orphaned && Date.now() - (await ageStamp(path)) < STALE_MS) continue;
    await rm(path, {recursive: true, force: true});
  }
}

async function ageStamp(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return Date.now();
    throw error;
  }
}

/** Eight hex digits that are the same only for processes that see each other's process ids. */
async function hostId(): Promise<string> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
  return sha256(`${boot}\0${await readlink('/proc/self/ns/pid')}`).slice(0, 8);
}
