/** Programs that run as long as this one does: started in a process group of their own, stopped by us. */
import {spawn} from 'node:child_process';
import {HawserError} from './errors.ts';

export class DaemonError extends HawserError<'not-found' | 'spawn-failed'> {}

export interface Daemon {
  readonly pid: number;
  /** Resolves when the program has ended, with how it did. */
  readonly ended: Promise<string>;
  /** SIGTERM, and SIGKILL when it is still there after `graceMs`; resolves when it has ended. */
  stop(graceMs: number): Promise<void>;
}

export interface DaemonOptions {
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Called with each full line that it prints. */
  readonly onLine: (line: string) => void;
}

/**
 * Starts `argv`. A ^C at the terminal reaches us and not the program, so that whoever depends on it can end before it.
 * Throws {@link DaemonError}.
 */
export async function startDaemon(argv: readonly string[], options: DaemonOptions): Promise<Daemon> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, {
    env: {...options.env},
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const ended = new Promise<string>(resolve => {
    child.once('exit', (code, signal) =>
      resolve(signal === null ? `exit code ${code ?? 0}` : `signal ${signal}`),
    );
  });
  for (const stream of [child.stdout, child.stderr]) eachLine(stream, options.onLine);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', error => reject(notStarted(program, error)));
  });
  return {
    pid: child.pid ?? 0,
    ended,
    stop: async graceMs => {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

function notStarted(program: string, error: Error): DaemonError {
  if ('code' in error && error.code === 'ENOENT') {
    return new DaemonError('not-found', `${program} is not installed`, {
      remedy: 'run infra/setup.sh, which installs what is missing',
      cause: error,
    });
  }
  return new DaemonError('spawn-failed', `${program} could not be started`, {cause: error});
}

function eachLine(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let partial = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (partial + chunk).split('\n');
    partial = (lines.pop() ?? '').slice(-65_536);
    for (const line of lines) onLine(line);
  });
}
