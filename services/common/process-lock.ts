/**
 * A lock between processes: a file that holds its owner's process number and start time, so that the lock of a
 * killed process is known to be void.
 */
import {randomUUID} from 'node:crypto';
import {link, readFile, readdir, rm, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {Type} from 'typebox';
import type {Clock} from './clock.ts';
import {systemErrorCode} from './errors.ts';
import {parseJson} from './parse.ts';
import {isAlive, ownIdentity} from './process-identity.ts';
import type {ProcessIdentity} from './process-identity.ts';

const Owner = Type.Object({pid: Type.Integer({minimum: 1}), started: Type.String(), token: Type.String()});

const POLL_MS = 50;
/** Hidden: a folder of locks may name each after what it guards. */
const UNLINKED = /^\.new-([1-9][0-9]*)-([^-]+)-/;

/**
 * Name of a file that is not linked yet. It says whose it is, since a process that is killed between making the file and
 * writing it leaves an empty one.
 */
export function unlinkedName({pid, started}: ProcessIdentity): string {
  return `.new-${pid}-${Buffer.from(started).toString('hex')}-${randomUUID()}`;
}

export interface LockWish {
  readonly path: string;
  /** The error of the part that asks, when a live process (its number, if known) keeps the lock. */
  readonly busy: (holder: number | undefined) => Error;
  readonly waitMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Takes the lock, or throws the error that `busy` gives when a live process keeps it for longer than `waitMs`. */
export async function takeLock(wish: LockWish): Promise<AsyncDisposable> {
  const owner = {...(await ownIdentity()), token: randomUUID()};
  const deadline = wish.clock.now().getTime() + wish.waitMs;
  for (;;) {
    if (await linkFile(wish.path, owner))
      return {[Symbol.asyncDispose]: () => release(wish.path, owner.token)};
    const holder = await readOwner(wish.path);
    if (holder !== undefined && !(await isAlive(holder))) {
      await removeStale(wish.path, owner);
      continue;
    }
    if (wish.clock.now().getTime() >= deadline) throw wish.busy(holder?.pid);
    await wish.clock.sleep(POLL_MS, wish.signal);
  }
}

/** Creates `path` with its whole content in one step, so that no reader ever sees half an owner. */
async function linkFile(path: string, owner: ProcessIdentity & {token: string}): Promise<boolean> {
  const temporary = join(dirname(path), unlinkedName(owner));
  await writeFile(temporary, JSON.stringify(owner), {mode: 0o600});
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, {force: true});
  }
}

async function readOwner(path: string): Promise<(ProcessIdentity & {token: string}) | undefined> {
  try {
    return parseJson(Owner, await readFile(path, 'utf8'), path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    // Locks are linked whole; one that cannot be read was damaged from outside and belongs to nobody.
    return {pid: 1, started: 'unreadable', token: ''};
  }
}

/**
 * Removes a void lock. Only the holder of the broom removes, and it looks again first: otherwise two that saw the
 * same void lock could each remove it, the slower one removing the lock that the faster one took meanwhile.
 */
async function removeStale(path: string, me: ProcessIdentity & {token: string}): Promise<void> {
  const broom = `${path}.broom`;
  if (!(await linkFile(broom, me))) {
    const sweeper = await readOwner(broom);
    if (sweeper !== undefined && !(await isAlive(sweeper))) await rm(broom, {force: true});
    return;
  }
  try {
    const holder = await readOwner(path);
    if (holder !== undefined && !(await isAlive(holder))) await rm(path, {force: true});
    await sweep(dirname(path));
  } finally {
    await rm(broom, {force: true});
  }
}

/** Whoever was killed may have left a file that was not linked yet. */
async function sweep(folder: string): Promise<void> {
  for (const entry of await readdir(folder)) {
    const [, pid, started] = UNLINKED.exec(entry) ?? [];
    if (pid === undefined || started === undefined) continue;
    const owner = {pid: Number(pid), started: Buffer.from(started, 'hex').toString()};
    if (!(await isAlive(owner))) await rm(join(folder, entry), {force: true});
  }
}

async function release(path: string, token: string): Promise<void> {
  if ((await readOwner(path))?.token === token) await rm(path, {force: true});
}
