/** Renders help from the command tables: pure, text out. */
import type {Command, Flag} from '../common/command.ts';
import {globalFlags} from './parse.ts';

/** One first word of the command line, and what the top level help says about it. */
export interface Topic {
  readonly word: string;
  readonly summary: string;
}

export function renderTop(version: string, topics: readonly Topic[]): string {
  return [
    `hawser ${version}: container host machines that provision and update themselves`,
    '',
    'Usage: hawser COMMAND [FLAGS] [ARGUMENTS]',
    '',
    'Commands:',
    ...columns(topics.map(topic => [topic.word, topic.summary])),
    '',
    'Flags:',
    ...columns([
      ...globalFlags.map(flag => [flagForm(flag), flag.summary] as const),
      ['    --version', 'print the version'],
    ]),
    '',
    'Help for one: hawser COMMAND --help',
  ].join('\n');
}

export function renderTopic(topic: Topic, commands: readonly Command[]): string {
  return [
    `hawser ${topic.word}: ${topic.summary}`,
    '',
    'Commands:',
    ...columns(commands.map(command => [command.name, command.summary])),
    '',
    `Help for one: hawser ${commands[0]?.name ?? topic.word} --help`,
  ].join('\n');
}

export function renderCommand(command: Command): string {
  const own = command.flags.filter(flag => flag.refused === undefined);
  const shared = globalFlags.filter(flag => !own.some(candidate => candidate.name === flag.name));
  const usage = ['hawser', command.name, '[FLAGS]', command.usage ?? '']
    .filter(word => word !== '')
    .join(' ');
  return [
    `Usage: ${usage}`,
    '',
    command.summary,
    '',
    'Flags:',
    ...columns([...own, ...shared].map(flag => [flagForm(flag), flagText(flag)])),
  ].join('\n');
}

function flagForm(flag: Flag): string {
  const letter = flag.short === undefined ? '    ' : `-${flag.short}, `;
  const value = {boolean: '', string: ' TEXT', integer: ' N', list: ' TEXT...'}[flag.type];
  return `${letter}--${flag.name}${value}`;
}

function flagText(flag: Flag): string {
  const notes: string[] = [];
  if (flag.default !== undefined && flag.default !== false && flag.default !== '')
    notes.push(`default ${flag.default}`);
  if (flag.env !== undefined) notes.push(flag.env);
  return notes.length === 0 ? flag.summary : `${flag.summary} (${notes.join(', ')})`;
}

function columns(rows: ReadonlyArray<readonly [string, string]>): string[] {
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
