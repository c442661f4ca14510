/** What may follow the words that are typed so far. Pure: tables in, words out. */
import type {Command} from '../common/command.ts';
import {globalFlags} from './parse.ts';

export interface Known {
  /** First words. */
  readonly topics: readonly string[];
  /** Of the first word that was typed; empty when it is none of ours. */
  readonly commands: readonly Command[];
  readonly machines: readonly string[];
}

/** `words` are those before the cursor without the program; `current` is what is typed of the next one. */
export function complete(words: readonly string[], current: string, known: Known): readonly string[] {
  if (words.length === 0) return startingWith(current, known.topics);
  const command = [...known.commands]
    .sort((a, b) => b.name.length - a.name.length)
    .find(({name}) => name.split(' ').every((word, index) => words[index] === word));
  if (command === undefined) {
    const next = known.commands.flatMap(({name}) => {
      const parts = name.split(' ');
      return words.every((word, index) => parts[index] === word) ? [parts[words.length] ?? ''] : [];
    });
    return startingWith(current, [...new Set(next)].sort());
  }
  const flags = [...command.flags, ...globalFlags].filter(({refused}) => refused === undefined);
  if (current.startsWith('-'))
    return startingWith(current, [...new Set(flags.map(({name}) => `--${name}`))].sort());
  const before = flags.find(({name}) => words.at(-1) === `--${name}`);
  // The value of a flag is not ours to know.
  if (before !== undefined && before.type !== 'boolean') return [];
  const takesMachine = command.name.startsWith('machine ') && /NAME/.test(command.usage ?? '');
  return takesMachine ? startingWith(current, known.machines) : [];
}

function startingWith(prefix: string, words: readonly string[]): readonly string[] {
  return words.filter(word => word !== '' && word.startsWith(prefix));
}

export const completionShells = ['bash', 'zsh', 'fish', 'powershell'] as const;
export type CompletionShell = (typeof completionShells)[number];

/** The script that teaches a shell to ask us: `program` is hawser or docker-machine. */
export function completionScript(shell: CompletionShell, program: string): string {
  return scripts[shell](program, program.replaceAll('-', '_')).join('\n');
}

const scripts: Readonly<Record<CompletionShell, (program: string, id: string) => readonly string[]>> = {
  bash: (program, id) => [
    `_${id}_complete() {`,
    `  local IFS=$'\\n'`,
    '  local current="${COMP_WORDS[COMP_CWORD]}"',
    `  COMPREPLY=($(${program} completion words -- "\${COMP_WORDS[@]:1:COMP_CWORD-1}" "$current" 2>/dev/null))`,
    '}',
    `complete -o default -F _${id}_complete ${program}`,
  ],
  zsh: (program, id) => [
    `#compdef ${program}`,
    `_${id}_complete() {`,
    '  local -a found',
    `  found=(\${(f)"$(${program} completion words -- "\${(@)words[2,CURRENT-1]}" "\${words[CURRENT]}" 2>/dev/null)"})`,
    '  if (( ${#found} )); then compadd -- $found; else _files; fi',
    '}',
    `compdef _${id}_complete ${program}`,
  ],
  fish: (program, id) => [
    `function __${id}_complete`,
    '  set -l typed (commandline -opc)',
    `  ${program} completion words -- $typed[2..-1] (commandline -ct) 2>/dev/null`,
    'end',
    `complete -c ${program} -a '(__${id}_complete)'`,
  ],
  powershell: program => [
    `Register-ArgumentCompleter -Native -CommandName ${program} -ScriptBlock {`,
    '  param($wordToComplete, $commandAst, $cursorPosition)',
    '  $typed = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })',
    '  if ($wordToComplete -ne "") { $typed = @($typed | Select-Object -SkipLast 1) }',
    `  & ${program} completion words -- @typed "$wordToComplete" 2>$null |`,
    '    ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, "ParameterValue", $_) }',
    '}',
  ],
};
