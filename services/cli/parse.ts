/** Turns words into a command's input: pure, driven by the command's flag table. */
import {UsageError} from '../common/command.ts';
import type {Command, CommandInput, Flag} from '../common/command.ts';
import {nearest} from './suggest.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Flags that every command has. */
export const globalFlags: readonly Flag[] = [
  {name: 'help', short: 'h', type: 'boolean', summary: 'show this help'},
  {
    name: 'debug',
    short: 'D',
    type: 'boolean',
    env: 'HAWSER_DEBUG',
    summary: 'on failure, print the stack and every cause',
  },
];

type Value = string | boolean | number | readonly string[];

/**
 * Parses what follows the command's name. Precedence: the flag, its environment variable, its default.
 * Throws {@link UsageError}. With `--help` the arguments are not counted.
 */
export function parseArguments(command: Command, words: readonly string[], env: Environment): CommandInput {
  const reader = new FlagReader(command);
  const args: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    if (command.passThrough === true && args.length > 0) {
      args.push(...words.slice(index));
      break;
    }
    if (word === '--') {
      args.push(...words.slice(index + 1));
      break;
    }
    // A lone dash is an argument by convention: standard input or output.
    if (!word.startsWith('-') || word === '-') args.push(word);
    else
      index += word.startsWith('--')
        ? reader.long(word, words[index + 1])
        : reader.short(word, words[index + 1]);
  }
  const flags = reader.finish(env);
  if (flags.get('help') !== true) checkCount(command, args);
  return {args, flags};
}

class FlagReader {
  readonly #command: Command;
  readonly #flags: readonly Flag[];
  readonly #values = new Map<string, Value>();

  constructor(command: Command) {
    this.#command = command;
    this.#flags = [
      ...command.flags,
      ...globalFlags.filter(flag => !command.flags.some(own => own.name === flag.name)),
    ];
  }

  /** Reads `--name`, `--name=value` or `--name value`; returns how many further words it used. */
  long(word: string, following: string | undefined): 0 | 1 {
    const equals = word.indexOf('=');
    const name = word.slice(2, equals === -1 ? undefined : equals);
    const flag = this.#flags.find(candidate => candidate.name === name);
    if (flag === undefined) {
      const close = nearest(
        name,
        this.#flags.map(candidate => candidate.name),
      );
      throw this.#unknown(`--${name}`, close === undefined ? undefined : `--${close}`);
    }
    if (equals !== -1) this.#set(flag, `--${name}`, word.slice(equals + 1));
    else if (flag.type === 'boolean') this.#switchOn(flag, `--${name}`);
    else {
      this.#set(flag, `--${name}`, following);
      return 1;
    }
    return 0;
  }

  /** Reads `-q`, `-fy`, `-f value` or `-fvalue`; returns how many further words it used. */
  short(word: string, following: string | undefined): 0 | 1 {
    for (let index = 1; index < word.length; index++) {
      const letter = word[index] ?? '';
      const flag = this.#flags.find(candidate => candidate.short === letter);
      if (flag === undefined) throw this.#unknown(`-${letter}`, undefined);
      if (flag.type === 'boolean') {
        this.#switchOn(flag, `-${letter}`);
        continue;
      }
      const attached = word.slice(index + 1).replace(/^=/, '');
      this.#set(flag, `-${letter}`, attached === '' ? following : attached);
      return attached === '' ? 1 : 0;
    }
    return 0;
  }

  finish(env: Environment): ReadonlyMap<string, Value> {
    for (const flag of this.#flags) {
      if (this.#values.has(flag.name) || flag.refused !== undefined) continue;
      const fromEnv = flag.env === undefined ? undefined : env[flag.env];
      if (fromEnv !== undefined && fromEnv !== '') this.#setFromEnv(flag, flag.env ?? '', fromEnv);
      else if (flag.default !== undefined) this.#values.set(flag.name, flag.default);
    }
    return this.#values;
  }

  #switchOn(flag: Flag, source: string): void {
    refuse(flag, source);
    this.#values.set(flag.name, true);
  }

  #setFromEnv(flag: Flag, variable: string, text: string): void {
    if (flag.type === 'list')
      this.#values.set(
        flag.name,
        text
          .split(',')
          .map(item => item.trim())
          .filter(item => item !== ''),
      );
    else this.#set(flag, variable, text);
  }

  #set(flag: Flag, source: string, text: string | undefined): void {
    refuse(flag, source);
    if (text === undefined) {
      throw new UsageError('bad-value', `${source} needs a value`, {
        remedy: `for instance ${source} ${flag.type === 'integer' ? '2' : 'VALUE'}`,
      });
    }
    switch (flag.type) {
      case 'string':
        this.#values.set(flag.name, text);
        break;
      case 'list': {
        const before = this.#values.get(flag.name);
        this.#values.set(flag.name, [...(typeof before === 'object' ? before : []), text]);
        break;
      }
      case 'integer':
        if (!/^-?\d{1,15}$/.test(text)) {
          throw new UsageError('bad-value', `${source} is "${text}"`, {remedy: 'give a whole number'});
        }
        this.#values.set(flag.name, Number(text));
        break;
      case 'boolean':
        this.#values.set(flag.name, parseBoolean(source, text));
        break;
    }
  }

  #unknown(given: string, suggestion: string | undefined): UsageError {
    return new UsageError('unknown-flag', `${this.#command.name} has no flag ${given}`, {
      remedy:
        suggestion === undefined ? `see hawser ${this.#command.name} --help` : `did you mean ${suggestion}?`,
    });
  }
}

function refuse(flag: Flag, source: string): void {
  if (flag.refused === undefined) return;
  throw new UsageError('refused-flag', `${source} is not taken`, {remedy: flag.refused});
}

function parseBoolean(source: string, text: string): boolean {
  const word = text.toLowerCase();
  if (['1', 'true', 'yes', 'on'].includes(word)) return true;
  if (['0', 'false', 'no', 'off'].includes(word)) return false;
  throw new UsageError('bad-value', `${source} is "${text}"`, {remedy: 'give true or false'});
}

function checkCount(command: Command, args: readonly string[]): void {
  const {min, max} = command.arguments;
  const usage = `hawser ${command.name}${command.usage === undefined ? '' : ` ${command.usage}`}`;
  if (args.length < min) {
    throw new UsageError(
      'missing-argument',
      `${command.name} needs ${min === 1 ? 'an argument' : `${min} arguments`}`,
      {remedy: usage},
    );
  }
  if (args.length > max && command.passThrough !== true) {
    throw new UsageError('extra-argument', `${command.name} does not take "${args[max] ?? ''}"`, {
      remedy: usage,
    });
  }
}
