/** Flags that the release commands share, and what they open. */
import {readFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {systemClock} from '../../../common/clock.ts';
import {publisherFiles} from '../../../common/contracts/release.ts';
import {
  flagInteger,
  flagList,
  flagString,
  UsageError,
  type CommandContext,
  type Flag,
  type FlagValues,
} from '../../../common/command.ts';
import {resolvePaths} from '../../../common/paths.ts';
import {openKeyFolders, type KeyFolders} from '../adapters/key-folders.ts';
import {openRepositoryFolder, repositoryFoldersOf} from '../adapters/repository-folder.ts';
import type {ReleasesContext} from '../context.ts';
import {ReleasesError} from '../errors.ts';
import {defaultLifetimes, type Lifetimes} from '../lifetimes.ts';

export const repositoryFlag: Flag = {
  name: 'repository',
  type: 'string',
  env: 'HAWSER_REPOSITORY',
  summary: "folder of the repository, when not Hawser's own",
};

export const keyFlags: readonly Flag[] = [
  {
    name: 'keys',
    type: 'list',
    env: 'HAWSER_RELEASE_KEYS',
    summary: 'folder with root and targets keys, once for each; new keys go into the first',
  },
  {
    name: 'passphrase-file',
    type: 'string',
    env: 'HAWSER_RELEASE_PASSPHRASE_FILE',
    summary: 'file with the passphrase of these keys; - for standard input',
  },
];

export const outputFlag: Flag = {
  name: 'output',
  short: 'o',
  type: 'string',
  summary: 'text or json',
  default: 'text',
};

const DAY = 86_400;

export const lifetimeFlags: readonly Flag[] = (['root', 'targets', 'snapshot', 'timestamp'] as const).map(
  role => ({
    name: `${role}-days`,
    type: 'integer' as const,
    env: `HAWSER_RELEASE_${role.toUpperCase()}_DAYS`,
    summary: `days for which signatures of ${role} are good (${defaultLifetimes[role] / DAY})`,
  }),
);

/** The repository's folder: absolute. */
export function repositoryPath(context: CommandContext, flags: FlagValues): string {
  const named = flagString(flags, 'repository');
  return named === undefined
    ? join(resolvePaths(context.env).home, 'repository')
    : resolve(context.cwd, named);
}

export function keyFoldersOf(context: CommandContext, flags: FlagValues): KeyFolders {
  const named = flagList(flags, 'keys').map(folder => resolve(context.cwd, folder));
  return {
    offline: named.length > 0 ? named : [join(resolvePaths(context.env).home, ...publisherFiles.keys)],
    online: repositoryFoldersOf(repositoryPath(context, flags)).secret,
    now: () => systemClock.now(),
    passphrase: async () => readPassphrase(flagString(flags, 'passphrase-file'), context.cwd),
  };
}

export function openReleases(context: CommandContext, flags: FlagValues): ReleasesContext {
  const {signal} = context;
  return {
    store: openRepositoryFolder(repositoryFoldersOf(repositoryPath(context, flags)), systemClock),
    keys: openKeyFolders(keyFoldersOf(context, flags)),
    now: () => systemClock.now(),
    lifetimes: readLifetimes(flags),
    signal,
  };
}

function readLifetimes(flags: FlagValues): Lifetimes {
  const days = (role: keyof Lifetimes) => {
    const given = flagInteger(flags, `${role}-days`);
    if (given === undefined) return defaultLifetimes[role];
    if (given >= 1 && given <= 3650) return given * DAY;
    throw new UsageError('bad-value', `--${role}-days is ${given}`, {remedy: 'give 1 to 3650'});
  };
  return {
    root: days('root'),
    targets: days('targets'),
    snapshot: days('snapshot'),
    timestamp: days('timestamp'),
  };
}

/** The first line; a passphrase never goes through an argument. */
async function readPassphrase(file: string | undefined, cwd: string): Promise<string | undefined> {
  if (file === undefined) return undefined;
  const text = await readFile(file === '-' ? '/dev/stdin' : resolve(cwd, file), 'utf8');
  const line = text.split('\n')[0]?.replace(/\r$/, '') ?? '';
  if (line !== '') return line;
  throw new ReleasesError('passphrase-missing', 'the passphrase is empty', {
    remedy: 'put it into the first line of the file',
  });
}

/** Throws {@link UsageError} for a format that there is not. */
export function wantsJson(flags: FlagValues): boolean {
  const format = flagString(flags, 'output') ?? 'text';
  if (format === 'text' || format === 'json') return format === 'json';
  throw new UsageError('bad-value', `--output cannot be "${format}"`, {remedy: 'use text or json'});
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

export const day = (time: string) => time.slice(0, 10);
