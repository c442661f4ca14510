/** Runs one program of the gate, its output passed through. */
import {join} from 'node:path';
import {exec, ExecError} from '../../services/common/exec.ts';

export const root = join(import.meta.dirname, '..', '..');
/** The project's own Node and tools come first: the machine's Node may be older. */
const binaries = join(root, 'node_modules', '.bin');
const LIMIT_MS = 3_600_000;

export interface Outcome {
  readonly ok: boolean;
  readonly output: string;
}

/** True in `ok` when it ended with 0; the output is shown as it comes and returned. */
export async function runShown(
  argv: readonly string[],
  signal: AbortSignal,
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const lines: string[] = [];
  const onLine = (line: string) => {
    lines.push(line);
    process.stdout.write(`${line}\n`);
  };
  const inherited = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  try {
    await exec(argv, {
      timeoutMs: LIMIT_MS,
      signal,
      cwd: root,
      onLine,
      env: {...Object.fromEntries(inherited), PATH: `${binaries}:${process.env['PATH'] ?? ''}`, ...env},
    });
    return {ok: true, output: lines.join('\n')};
  } catch (error) {
    if (!(error instanceof ExecError)) throw error;
    if (error.code !== 'failed') process.stdout.write(`${error.message}\n`);
    return {ok: false, output: lines.join('\n')};
  }
}
