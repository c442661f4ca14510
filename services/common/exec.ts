/**
 * Runs other programs: argument arrays only, always with a time limit and an abort signal, never a shell.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {HawserError} from './errors.ts';

export type ExecErrorCode = 'not-found' | 'failed' | 'timeout' | 'aborted' | 'spawn-failed';

/** A command that did not succeed; `result` holds what it printed before it ended. */
export class ExecError extends HawserError<ExecErrorCode> {
  readonly result: ExecResult;

  constructor(
    code: ExecErrorCode,
    message: string,
    result: ExecResult,
    detail: {remedy?: string; cause?: unknown} = {},
  ) {
    super(code, message, detail);
    this.result = result;
  }
}

export interface ExecOptions {
  /** Milliseconds after which the process is killed (SIGTERM, SIGKILL 5 s later). */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly cwd?: string;
  /** The whole environment of the child; the parent's is passed on when absent. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to standard input, which is then closed. Secrets go here, never into the arguments. */
  readonly input?: string | Uint8Array;
  /** Called with each full line of standard output and error as it arrives. */
  readonly onLine?: (line: string) => void;
  /** Exit codes that count as success; only 0 when absent. */
  readonly okCodes?: readonly number[];
  /** `inherit` lends the terminal to the child, so nothing is captured. */
  readonly stdio?: 'pipe' | 'inherit';
}

export interface ExecResult {
  readonly argv: readonly string[];
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const KILL_GRACE_MS = 5000;

/**
 * Runs `argv` to its end and returns its output. Throws {@link ExecError}: `not-found` when the program is
 * missing, `timeout`, `aborted`, or `failed` for an exit code outside `okCodes`. The message carries the last
 * line that the program wrote to standard error.
 */
export async function exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult> {
  const [program = '', ...args] = argv;
  const name = program.split('/').at(-1) ?? program;
  const ended = (over: Partial<ExecResult> = {}): ExecResult => ({
    argv,
    code: null,
    signal: null,
    stdout: '',
    stderr: '',
    ...over,
  });
  if (options.signal?.aborted)
    throw new ExecError('aborted', `${name} was not started: interrupted`, ended());

  const stdio = options.stdio ?? 'pipe';
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: options.env === undefined ? undefined : {...options.env},
    stdio: stdio === 'inherit' ? 'inherit' : ['pipe', 'pipe', 'pipe'],
  });
  const stdout = collect(child.stdout, options.onLine);
  const stderr = collect(child.stderr, options.onLine);

  let stopped: 'timeout' | 'aborted' | undefined;
  const stop = (why: 'timeout' | 'aborted') => {
    stopped ??= why;
    terminate(child);
  };
  const timer = setTimeout(() => stop('timeout'), options.timeoutMs);
  const onAbort = () => stop('aborted');
  options.signal?.addEventListener('abort', onAbort, {once: true});

  try {
    const exit = waitForExit(child);
    if (child.stdin) {
      // A child that ends without reading its input (EPIPE) is judged by its exit code alone.
      child.stdin.on('error', () => undefined);
      child.stdin.end(options.input ?? '');
    }
    const [code, signal] = await exit;
    const result = ended({code, signal, stdout: stdout.text(), stderr: stderr.text()});
    if (stopped === 'timeout') {
      throw new ExecError(
        'timeout',
        `${name} did not end within ${Math.round(options.timeoutMs / 1000)} s`,
        result,
      );
    }
    if (stopped === 'aborted') throw new ExecError('aborted', `${name} was interrupted`, result);
    if (code === null || !(options.okCodes ?? [0]).includes(code)) {
      throw new ExecError('failed', failureMessage(name, result), result);
    }
    return result;
  } catch (error) {
    if (error instanceof ExecError) throw error;
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new ExecError('not-found', `${name} is not installed`, ended(), {
        remedy: 'run infra/setup.sh, which installs what is missing',
        cause: error,
      });
    }
    throw new ExecError('spawn-failed', `${name} could not be started`, ended(), {cause: error});
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
  }
}

function failureMessage(name: string, result: ExecResult): string {
  const how = result.signal === null ? `exit code ${result.code}` : `signal ${result.signal}`;
  const last = result.stderr.trimEnd().split('\n').at(-1) ?? '';
  return last === '' ? `${name} failed (${how})` : `${name} failed (${how}): ${last.slice(0, 400)}`;
}

function waitForExit(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve([code, signal]));
  });
}

function terminate(child: ChildProcess): void {
  child.kill('SIGTERM');
  setTimeout(() => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }, KILL_GRACE_MS).unref();
}

function collect(
  stream: NodeJS.ReadableStream | null,
  onLine: ((line: string) => void) | undefined,
): {text(): string} {
  const chunks: string[] = [];
  let partial = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (chunk: string) => {
    chunks.push(chunk);
    if (onLine === undefined) return;
    const lines = (partial + chunk).split('\n');
    partial = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  stream?.on('end', () => {
    if (partial !== '') onLine?.(partial);
  });
  return {text: () => chunks.join('')};
}
