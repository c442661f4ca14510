/** Text for people, or one JSON value for scripts. */
import {
  flagString,
  UsageError,
  type CommandContext,
  type CommandInput,
} from '../../services/common/command.ts';

/** Prints `value` as JSON with `--output json`, else the lines that `text` gives. */
export function printResult(
  context: CommandContext,
  input: CommandInput,
  value: unknown,
  text: () => readonly string[],
): void {
  if (wantsJson(input)) context.print(JSON.stringify(value, null, 2));
  else for (const line of text()) context.print(line);
}

/** Throws {@link UsageError} for a format that there is not. */
export function wantsJson(input: CommandInput): boolean {
  const format = flagString(input.flags, 'output') ?? 'text';
  if (format !== 'text' && format !== 'json') {
    throw new UsageError('bad-value', `--output cannot be "${format}"`, {remedy: 'use text or json'});
  }
  return format === 'json';
}

/** Rows with their columns aligned; the last column is not padded. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  return rows.map(row =>
    row.map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(widths[index] ?? 0))).join('  '),
  );
}
