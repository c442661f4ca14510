/** The emulator's process: found by what it is, never by its number alone. */
import {readFile, readdir} from 'node:fs/promises';
import {systemErrorCode} from '../../../services/common/errors.ts';
import type {Clock} from '../../../services/common/clock.ts';
import {isAlive, processStart} from '../../../services/common/process-identity.ts';
import type {ProcessIdentity} from '../../../services/common/process-identity.ts';

/**
 * The live emulator that was started with `-pidfile pidFile`. The file may be missing (killed between start and
 * write) or name a foreign process (a reused number); then all processes are looked through.
 */
export async function findEmulator(pidFile: string): Promise<ProcessIdentity | undefined> {
  const written = Number((await readText(pidFile))?.trim());
  if (Number.isInteger(written) && written > 1) {
    const identity = await identify(written, pidFile);
    if (identity !== undefined) return identity;
  }
  for (const entry of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(entry)) continue;
    const identity = await identify(Number(entry), pidFile);
    if (identity !== undefined) return identity;
  }
  return undefined;
}

/** Kills the process and waits until it is gone; false when it is still there after `timeoutMs`. */
export async function killEmulator(
  identity: ProcessIdentity,
  clock: Clock,
  timeoutMs: number,
): Promise<boolean> {
  if (!(await isAlive(identity))) return true;
  try {
    process.kill(identity.pid, 'SIGKILL');
  } catch (error) {
    if (systemErrorCode(error) !== 'ESRCH') throw error;
  }
  return waitForEnd(identity, clock, timeoutMs);
}

/** True once the process is gone, false after `timeoutMs`. */
export async function waitForEnd(
  identity: ProcessIdentity,
  clock: Clock,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const deadline = clock.now().getTime() + timeoutMs;
  while (await isAlive(identity)) {
    if (clock.now().getTime() >= deadline) return false;
    await clock.sleep(50, signal);
  }
  return true;
}

async function identify(pid: number, pidFile: string): Promise<ProcessIdentity | undefined> {
  const started = await processStart(pid);
  if (started === undefined) return undefined;
  const words = (await readText(`/proc/${pid}/cmdline`))?.split('\0') ?? [];
  const at = words.indexOf('-pidfile');
  if (at === -1 || words[at + 1] !== pidFile) return undefined;
  return (await processStart(pid)) === started ? {pid, started} : undefined;
}

async function readText(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}
