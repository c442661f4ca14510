/** Tests that ask the machine's own systemd. */
import type {ExecutionContext} from 'ava';
import {exec, ExecError} from '../../services/common/exec.ts';

/** False, and said, where there is none: the test is then over. */
export async function haveSystemd(t: ExecutionContext): Promise<boolean> {
  try {
    await exec(['systemd-analyze', '--version'], {timeoutMs: 10_000});
    return true;
  } catch (error) {
    if (!(error instanceof ExecError) || error.code !== 'not-found') throw error;
    t.log('SKIPPED: systemd-analyze is not installed');
    t.pass();
    return false;
  }
}
