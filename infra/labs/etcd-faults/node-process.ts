/** A process on a node, which the campaign kills, pauses and starts again. */
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';

export interface NodeProcess {
  readonly name: string;
  start(): void;
  kill(): Promise<void>;
  pause(): void;
  resume(): void;
  /** A line to its standard input. */
  tell(line: string): void;
  /** Resolves with its exit code. */
  ended(): Promise<number | null>;
}

export function nodeProcess(
  name: string,
  argv: readonly string[],
  onLine: (line: string) => void,
): NodeProcess {
  let child: ChildProcess | undefined;
  const living = () =>
    child !== undefined && child.exitCode === null && child.signalCode === null ? child : undefined;
  return {
    name,
    start: () => {
      if (living() !== undefined) return;
      const [program = '', ...args] = argv;
      child = spawn(program, args, {stdio: ['pipe', 'pipe', 'ignore']});
      child.stdin?.on('error', () => undefined);
      if (child.stdout !== null) createInterface({input: child.stdout}).on('line', onLine);
    },
    kill: async () => {
      const running = living();
      if (running === undefined) return;
      const exit = once(running, 'exit');
      running.kill('SIGKILL');
      await exit;
    },
    // A process that was told to exit and is still there takes the signal all the same.
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    tell: line => void child?.stdin?.write(`${line}\n`),
    ended: async () => {
      const running = living();
      if (running !== undefined) await once(running, 'exit');
      return child?.exitCode ?? null;
    },
  };
}
