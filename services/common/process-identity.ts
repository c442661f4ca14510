/** Which process is meant: a number alone is reused by the kernel, a number with its start time is not. */
import {readFile, readdir} from 'node:fs/promises';
import {systemErrorCode} from './errors.ts';
import {exec} from './exec.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; equal for one process as long as it lives. */
  readonly started: string;
}

/** The start time of a live process, or undefined when there is none with this number. */
export async function processStart(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') {
    try {
      const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
      // proc(5): field 2 is the name in parentheses and may hold spaces; state is field 3, starttime field 22.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' && !(await hasThreads(pid)) ? undefined : fields[19];
    } catch {
      return undefined;
    }
  }
  const listed = await exec(['ps', '-o', 'lstart=', '-p', String(pid)], {timeoutMs: 5000, okCodes: [0, 1]});
  const started = listed.stdout.trim();
  return started === '' ? undefined : started;
}

/** A leader that has ended while its threads still end keeps files and ports open. */
async function hasThreads(pid: number): Promise<boolean> {
  return (await readdir(`/proc/${pid}/task`)).length > 1;
}

/** Whether any process has this number now, ours or another user's; one that ended long ago may have lent it on. */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) !== 'ESRCH';
  }
}

export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await processStart(identity.pid)) === identity.started;
}

export async function ownIdentity(): Promise<ProcessIdentity> {
  return {pid: process.pid, started: (await processStart(process.pid)) ?? 'unknown'};
}
