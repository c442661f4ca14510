/** `hawser completion`: scripts for shells, and the answers that these ask for. */
import {readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {UsageError, type Command, type CommandContext} from '../common/command.ts';
import {resolvePaths} from '../common/paths.ts';
import {complete, completionScript, completionShells} from './completion.ts';
import type {Part} from './dispatch.ts';
import {dockerMachineName} from './docker-machine.ts';

export function completionPart(parts: readonly Part[]): readonly Command[] {
  return [
    ...completionShells.map((shell): Command => ({
      name: `completion ${shell}`,
      summary: `print what teaches ${shell} our words`,
      arguments: {min: 0, max: 0},
      flags: [],
      run: context => {
        context.print(completionScript(shell, context.calledAs ?? 'hawser'));
        return Promise.resolve(0);
      },
    })),
    {
      name: 'completion words',
      summary: 'print what may follow WORD... (the last one is being typed): asked by these scripts',
      usage: '-- WORD...',
      arguments: {min: 1, max: 1000},
      flags: [],
      run: async (context, {args}) => {
        for (const word of await candidates(parts, context, args)) context.print(word);
        return 0;
      },
    },
  ];
}

async function candidates(
  parts: readonly Part[],
  context: CommandContext,
  args: readonly string[],
): Promise<readonly string[]> {
  const current = args.at(-1);
  if (current === undefined) throw new UsageError('missing-argument', 'completion words needs a word');
  const prefix = context.calledAs === dockerMachineName ? ['machine'] : [];
  const words = [...prefix, ...args.slice(0, -1)];
  const part = parts.find(({word}) => word === words[0]);
  const commands = (await part?.load({env: context.env, words, parts})) ?? [];
  return complete(words, current, {
    topics: parts.map(({word}) => word),
    commands: commands.filter(({name}) => name.split(' ')[0] === words[0]),
    machines: await machineNames(context),
  });
}

async function machineNames(context: CommandContext): Promise<string[]> {
  const folder = join(resolvePaths(context.env).home, 'machines');
  const entries = await readdir(folder, {withFileTypes: true}).catch(() => []);
  return entries.filter(entry => entry.isDirectory() && !entry.name.startsWith('.')).map(({name}) => name);
}
