/** Runs the operator command as a user would, as a process of its own. */
import {join} from 'node:path';
import {exec} from '../../services/common/exec.ts';

const root = join(import.meta.dirname, '..', '..');
const COMMAND_TIMEOUT_MS = 3_600_000;

export interface HawserRun {
  readonly signal: AbortSignal;
  readonly onLine?: (line: string) => void;
}

/** Standard output of `hawser ARGS`; throws with the command's own last line. */
export async function hawser(args: readonly string[], run: HawserRun): Promise<string> {
  const {stdout} = await exec([join(root, 'services/cli/hawser'), ...args], {
    timeoutMs: COMMAND_TIMEOUT_MS,
    signal: run.signal,
    ...(run.onLine === undefined ? {} : {onLine: run.onLine}),
  });
  return stdout;
}
