/** The operator's own checks: executables in a folder that must end with 0. */
import {constants} from 'node:fs';
import {access, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {systemErrorCode} from '../../common/errors.ts';
import {exec, ExecError} from '../../common/exec.ts';
import type {OperatorCheck} from './verdict.ts';

/** Seconds for one check. */
export const checkSeconds = 60;

export async function runChecks(folder: string): Promise<OperatorCheck[]> {
  const results: OperatorCheck[] = [];
  for (const name of await executables(folder)) {
    try {
      await exec([join(folder, name)], {timeoutMs: checkSeconds * 1000});
      results.push({name, ok: true, detail: ''});
    } catch (error) {
      if (!(error instanceof ExecError)) throw error;
      results.push({name, ok: false, detail: error.message.slice(0, 300)});
    }
  }
  return results;
}

/** Names of the files in `folder` that may be run, in order; none when it does not exist. Hidden ones are left out. */
export async function executables(folder: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
  const found: string[] = [];
  for (const name of names.sort()) {
    if (name.startsWith('.') || name.endsWith('~')) continue;
    if (await mayRun(join(folder, name))) found.push(name);
  }
  return found;
}

async function mayRun(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
