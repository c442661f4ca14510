/** Folders in which a build works: gone when it ends, and when it was killed, gone when the next one begins. */
import {mkdir, mkdtemp, readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {processExists} from '../services/common/process-identity.ts';

const PREFIX = '.build-';

/** Runs `task` with a new empty folder below `parent`, named for this process, and removes it afterwards. */
export async function withWorkFolder<Result>(
  parent: string,
  task: (folder: string) => Promise<Result>,
): Promise<Result> {
  await mkdir(parent, {recursive: true, mode: 0o700});
  await removeAbandoned(parent);
  const folder = await mkdtemp(join(parent, `${PREFIX}${process.pid}-`));
  try {
    return await task(folder);
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

/** Removes what processes that no longer live have left in `parent`; returns the paths. */
export async function removeAbandoned(parent: string): Promise<string[]> {
  const removed: string[] = [];
  for (const name of await readdir(parent).catch(() => [])) {
    const owner = /^\.build-(?<pid>\d+)-/.exec(name)?.groups?.['pid'];
    if (owner === undefined || processExists(Number(owner))) continue;
    await rm(join(parent, name), {recursive: true, force: true});
    removed.push(join(parent, name));
  }
  return removed;
}
