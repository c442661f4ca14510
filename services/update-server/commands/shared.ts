/** What the operators' commands share: the client, tables, and the two output formats. */
import {
  UsageError,
  flagString,
  type CommandContext,
  type CommandInput,
  type Flag,
} from '../../common/command.ts';
import {openServerClient, type ServerClient} from '../../common/server-client.ts';

export const outputFlag: Flag = {
  name: 'output',
  type: 'string',
  default: 'text',
  summary: 'text or json',
};

export function connect(context: CommandContext): Promise<ServerClient> {
  return openServerClient(context.env, context.signal);
}

/** True for `--output json`. Throws for a format that is neither. */
export function wantsJson({flags}: CommandInput): boolean {
  const format = flagString(flags, 'output') ?? 'text';
  if (format === 'json' || format === 'text') return format === 'json';
  throw new UsageError('bad-value', `--output is "${format}"`, {remedy: 'give text or json'});
}

/** A table with columns as wide as their widest cell. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const table = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...table.map(row => row[column]?.length ?? 0)));
  return table.map(row =>
    row
      .map((cell, column) => cell.padEnd((widths[column] ?? 0) + 2))
      .join('')
      .trimEnd(),
  );
}

/** `12 s`, `5 min`, `3 h`, `2 d` between two RFC 3339 times. */
export function ago(from: string, to: string): string {
  const seconds = Math.max(0, Math.round((Date.parse(to) - Date.parse(from)) / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}

/** `name=value` words; an empty value after `name-` takes the label away. Throws {@link UsageError}. */
export function parseLabels(words: readonly string[]): Record<string, string | null> {
  return Object.fromEntries(
    words.map(word => {
      const [, name = '', value] = /^([A-Za-z0-9][A-Za-z0-9._/-]*?)(?:=(.*)|-)$/.exec(word) ?? [];
      if (name !== '') return [name, value ?? null] as const;
      throw new UsageError('bad-value', `"${word}" is not a label`, {
        remedy: 'write name=value, or name- to remove',
      });
    }),
  );
}

/** Part of a path. */
export function segment(text: string): string {
  return encodeURIComponent(text);
}
