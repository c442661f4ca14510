/** `hawser config validate` and `hawser config render`. */
import {readFile} from 'node:fs/promises';
import {resolve} from 'node:path';
import {describeError} from '../../common/errors.ts';
import {
  flagBoolean,
  flagString,
  type Command,
  type CommandContext,
  type CommandInput,
  type Flag,
} from '../../common/command.ts';
import {reasonOf, translateWithFiles} from './adapters/local-files.ts';
import {ConfigError} from './errors.ts';
import {renderConfig} from './ignition.ts';
import {formatProblem} from './problem.ts';
import type {Translation} from './translate.ts';

const sharedFlags: readonly Flag[] = [
  {
    name: 'files-dir',
    short: 'd',
    type: 'string',
    summary: 'directory that "local" and "trees" are read from',
  },
  {name: 'strict', short: 's', type: 'boolean', summary: 'take warnings for errors'},
];

export const configCommands: readonly Command[] = [
  {
    name: 'config validate',
    summary: 'check machine configurations and print every problem with its line',
    usage: 'FILE...',
    arguments: {min: 1, max: Number.POSITIVE_INFINITY},
    flags: sharedFlags,
    run: validate,
  },
  {
    name: 'config render',
    summary: 'print the Ignition JSON that a machine configuration comes to',
    usage: 'FILE',
    arguments: {min: 1, max: 1},
    flags: [{name: 'pretty', short: 'p', type: 'boolean', summary: 'indent the JSON'}, ...sharedFlags],
    run: render,
  },
];

async function validate(context: CommandContext, input: CommandInput): Promise<number> {
  let failed = false;
  for (const file of input.args) {
    const translation = await load(context, input, file);
    if (translation?.ignition === undefined) failed = true;
    else context.print(`${file}: ok`);
  }
  return failed ? 1 : 0;
}

async function render(context: CommandContext, input: CommandInput): Promise<number> {
  const translation = await load(context, input, input.args[0] ?? '');
  if (translation?.ignition === undefined) return 1;
  context.print(renderConfig(translation.ignition, flagBoolean(input.flags, 'pretty')));
  return 0;
}

/** Translates a file and prints its problems; undefined when it cannot be read. */
async function load(
  context: CommandContext,
  input: CommandInput,
  file: string,
): Promise<Translation | undefined> {
  const filesDir = flagString(input.flags, 'files-dir');
  const translation = await translateFile(context, file, filesDir).catch((error: unknown) => {
    if (!(error instanceof ConfigError)) throw error;
    context.warn(`${file}: error: ${describeError(error)}`);
  });
  if (translation === undefined) return undefined;
  for (const problem of translation.report) context.warn(formatProblem(problem));
  const strict = flagBoolean(input.flags, 'strict') && translation.report.length > 0;
  return strict ? {report: translation.report} : translation;
}

async function translateFile(
  context: CommandContext,
  file: string,
  filesDir: string | undefined,
): Promise<Translation> {
  let text: string;
  try {
    const bytes = await readFile(resolve(context.cwd, file));
    text = new TextDecoder('utf-8', {fatal: true}).decode(bytes);
  } catch (error) {
    const reason = error instanceof TypeError ? 'it is not UTF-8 text' : reasonOf(error);
    throw new ConfigError('unreadable', `cannot be read: ${reason}`, {cause: error});
  }
  return await translateWithFiles(text, {
    fileName: file,
    filesDir: filesDir === undefined ? undefined : resolve(context.cwd, filesDir),
  });
}
