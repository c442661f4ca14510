/** From words to a running command: finds the part, loads its table, parses, runs. */
import {flagBoolean} from '../common/command.ts';
import type {Command, CommandContext, CommandInput} from '../common/command.ts';
import {CliError} from './errors.ts';
import {renderCommand, renderTop, renderTopic} from './help.ts';
import type {Topic} from './help.ts';
import {parseArguments} from './parse.ts';
import {nearest} from './suggest.ts';

/** What a part's table may depend on. */
export interface PartContext {
  readonly env: CommandContext['env'];
  readonly words: readonly string[];
  readonly parts: readonly Part[];
}

/** A part's commands, loaded only when one of them is called, so that help stays quick. */
export interface Part extends Topic {
  load(given: PartContext): Promise<readonly Command[]>;
}

/** What the words ask for. */
export type Request =
  | {readonly kind: 'text'; readonly text: string}
  | {readonly kind: 'run'; readonly command: Command; readonly input: CommandInput; readonly debug: boolean};

/** Reads the whole command line. Throws {@link CliError} and UsageError. */
export async function resolveRequest(
  parts: readonly Part[],
  version: string,
  argv: readonly string[],
  env: CommandContext['env'],
): Promise<Request> {
  const {words, debug, help} = takeLeadingFlags(argv);
  // Only in front: `image build --version 1.2.3` is a flag of that command.
  if (words[0] === '--version') return {kind: 'text', text: `hawser ${version}`};
  const [first, ...rest] = words;
  if (first === undefined) return {kind: 'text', text: renderTop(version, parts)};
  if (first === 'help') return resolveRequest(parts, version, [...rest, '--help'], env);
  if (first === '--help') return {kind: 'text', text: renderTop(version, parts)};
  const part = parts.find(candidate => candidate.word === first);
  if (part === undefined)
    throw unknownCommand(
      first,
      '',
      parts.map(candidate => candidate.word),
    );

  const commands = (await part.load({env, words, parts})).filter(
    command => command.name.split(' ')[0] === part.word,
  );
  const found = matchCommand(commands, words);
  if (found === undefined) {
    const next = rest[0];
    if (next === undefined || next === '--help' || next === '-h')
      return {kind: 'text', text: renderTopic(part, commands)};
    throw unknownCommand(
      next,
      `${first} `,
      commands.map(command => command.name.split(' ')[1] ?? ''),
    );
  }
  const input = parseArguments(found.command, [...found.rest, ...(help ? ['--help'] : [])], env);
  if (flagBoolean(input.flags, 'help')) return {kind: 'text', text: renderCommand(found.command)};
  return {kind: 'run', command: found.command, input, debug: debug || flagBoolean(input.flags, 'debug')};
}

function takeLeadingFlags(argv: readonly string[]): {
  words: readonly string[];
  debug: boolean;
  help: boolean;
} {
  let debug = false;
  let help = false;
  let index = 0;
  for (; index < argv.length; index++) {
    if (argv[index] === '--debug' || argv[index] === '-D') debug = true;
    else if (argv[index] === '--help' || argv[index] === '-h') help = true;
    else break;
  }
  const words = argv.slice(index);
  return {words: words.length === 0 && help ? ['--help'] : words, debug, help};
}

/** The command with the most words in common with the beginning of `words`. */
function matchCommand(
  commands: readonly Command[],
  words: readonly string[],
): {command: Command; rest: readonly string[]} | undefined {
  const longestFirst = [...commands].sort((a, b) => b.name.length - a.name.length);
  for (const command of longestFirst) {
    const name = command.name.split(' ');
    if (name.every((word, index) => words[index] === word)) return {command, rest: words.slice(name.length)};
  }
  return undefined;
}

function unknownCommand(given: string, prefix: string, known: readonly string[]): CliError {
  const close = nearest(given, known);
  const remedy =
    close === undefined ? `see hawser ${prefix}--help` : `did you mean hawser ${prefix}${close}?`;
  if (given.startsWith('-'))
    return new CliError('unknown-command', `${given} is not a flag that stands before the command`, {remedy});
  return new CliError('unknown-command', `there is no command "${prefix}${given}"`, {remedy});
}
