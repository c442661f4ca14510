/**
 * Commands as data. Each part exports a table of {@link Command}; services/cli joins them, renders the help
 * and parses the arguments, so a part never touches process.argv.
 */
import {HawserError} from './errors.ts';
import type {Progress} from './progress.ts';

export class UsageError extends HawserError<
  'unknown-flag' | 'refused-flag' | 'bad-value' | 'missing-argument' | 'extra-argument'
> {}

export interface Flag {
  readonly name: string;
  readonly type: 'string' | 'boolean' | 'integer' | 'list';
  readonly summary: string;
  /** One letter, without the dash. */
  readonly short?: string;
  /** Environment variable that gives the value when the flag is absent. */
  readonly env?: string;
  readonly default?: string | boolean | number;
  /**
   * A flag that scripts give and that is not taken: the reason, and what to do instead. Its environment variable is
   * not read, and the help does not list it.
   */
  readonly refused?: string;
}

/** Parsed flags: only `flagString` and its siblings read them, so a typo in a name fails loudly. */
export type FlagValues = ReadonlyMap<string, string | boolean | number | readonly string[]>;

export interface CommandInput {
  readonly args: readonly string[];
  readonly flags: FlagValues;
}

/** What the command line lends to a command: the only way to reach the terminal, the environment and ^C. */
export interface CommandContext {
  readonly progress: Progress;
  /** Results go here: standard output, one call a line. */
  print(line: string): void;
  /** Side remarks go here: standard error. */
  warn(line: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly signal: AbortSignal;
  readonly interactive: boolean;
  /** `docker-machine` where the binary is linked under that name: its texts then speak of it. */
  readonly calledAs?: string;
  /** Of this program. */
  readonly version?: string;
}

export interface Command {
  /** Words as typed, for instance `image build`. */
  readonly name: string;
  readonly summary: string;
  /** How the arguments are written in the usage line, for instance `NAME [NAME...]`. */
  readonly usage?: string;
  readonly arguments: {readonly min: number; readonly max: number};
  readonly flags: readonly Flag[];
  /** Everything after the first argument is passed on untouched (`ssh NAME ls -l`). */
  readonly passThrough?: boolean;
  /** Returns the exit code. */
  run(context: CommandContext, input: CommandInput): Promise<number>;
}

/** The value of a string flag, or undefined when it was not given and has no default. */
export function flagString(flags: FlagValues, name: string): string | undefined {
  const value = flags.get(name);
  return typeof value === 'string' ? value : undefined;
}

export function flagBoolean(flags: FlagValues, name: string): boolean {
  return flags.get(name) === true;
}

export function flagInteger(flags: FlagValues, name: string): number | undefined {
  const value = flags.get(name);
  return typeof value === 'number' ? value : undefined;
}

export function flagList(flags: FlagValues, name: string): readonly string[] {
  const value = flags.get(name);
  return typeof value === 'object' ? value : [];
}
