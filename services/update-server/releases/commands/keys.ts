/** `hawser release keys ...`. */
import {join} from 'node:path';
import {
  flagInteger,
  flagList,
  UsageError,
  type Command,
  type Flag,
  type FlagValues,
} from '../../../common/command.ts';
import {findKeys} from '../adapters/key-folders.ts';
import {initializeRepository, type KeyCounts} from '../initialize.ts';
import {roles, type Role} from '../keys/key.ts';
import {roleKeys} from '../roots.ts';
import {rotateKeys} from '../rotate.ts';
import {hasRepository, loadState} from '../state.ts';
import {
  keyFlags,
  keyFoldersOf,
  lifetimeFlags,
  openReleases,
  outputFlag,
  repositoryFlag,
  table,
  wantsJson,
} from './options.ts';

const MAX_KEYS = 32;
const defaults: Readonly<Record<Role, KeyCounts>> = {
  root: {count: 3, threshold: 2},
  targets: {count: 2, threshold: 1},
  snapshot: {count: 1, threshold: 1},
  timestamp: {count: 1, threshold: 1},
};

const countFlags: readonly Flag[] = (['root', 'targets'] as const).flatMap(role => [
  {
    name: `${role}-keys`,
    type: 'integer' as const,
    default: defaults[role].count,
    summary: `how many ${role} keys there are`,
  },
  {
    name: `${role}-threshold`,
    type: 'integer' as const,
    default: defaults[role].threshold,
    summary: `how many of them must sign`,
  },
]);

export const initCommand: Command = {
  name: 'release keys init',
  summary: 'make the keys that sign releases, and an empty repository (once)',
  arguments: {min: 0, max: 0},
  flags: [...countFlags, repositoryFlag, ...keyFlags, ...lifetimeFlags],
  run: async (context, {flags}) => {
    const releases = openReleases(context, flags);
    const {created} = await initializeRepository(releases, {
      ...defaults,
      root: readCounts(flags, 'root'),
      targets: readCounts(flags, 'targets'),
    });
    const folders = keyFoldersOf(context, flags);
    const [folder = ''] = folders.offline;
    context.print(created ? `made the keys in ${folder}` : `keys and repository are there already`);
    context.print(`repository  ${releases.store.name}`);
    context.print(`online keys ${folders.online}`);
    context.print(`root        ${join(folder, 'root.json')}`);
    if (created)
      context.warn(
        'take copies of the root and targets keys to where no network reaches: whoever has enough of them rules the fleet',
      );
    return 0;
  },
};

export const rotateCommand: Command = {
  name: 'release keys rotate',
  summary: 'give a role new keys; clients that know only the first root follow',
  usage: 'root|targets|snapshot|timestamp',
  arguments: {min: 1, max: 1},
  flags: [
    {name: 'replace', type: 'list', summary: 'only this key goes: the beginning of its id, once for each'},
    {name: 'count', type: 'integer', summary: 'how many keys the role has afterwards'},
    {name: 'threshold', type: 'integer', summary: 'how many of them must sign afterwards'},
    repositoryFlag,
    ...keyFlags,
    ...lifetimeFlags,
  ],
  run: async (context, {args, flags}) => {
    const role = roles.find(known => known === args[0]);
    if (role === undefined)
      throw new UsageError('bad-value', `there is no role "${args[0] ?? ''}"`, {
        remedy: `one of ${roles.join(', ')}`,
      });
    const rotated = await rotateKeys(openReleases(context, flags), {
      role,
      replace: flagList(flags, 'replace'),
      count: bounded(flags, 'count'),
      threshold: bounded(flags, 'threshold'),
    });
    context.print(`root ${rotated.root} is published`);
    for (const id of rotated.removed) context.print(`- ${role} ${id}`);
    for (const id of rotated.added) context.print(`+ ${role} ${id}`);
    if (!rotated.seamless)
      context.warn(
        'too few of the old keys were at hand: a client that came meanwhile was refused once, and tries again',
      );
    return 0;
  },
};

export const listKeysCommand: Command = {
  name: 'release keys ls',
  summary: 'list the keys: which are trusted, which are at hand',
  arguments: {min: 0, max: 0},
  flags: [outputFlag, repositoryFlag, ...keyFlags.slice(0, 1)],
  run: async (context, {flags}) => {
    const releases = openReleases(context, flags);
    const folders = keyFoldersOf(context, flags);
    const root = (await hasRepository(releases.store))
      ? (await loadState(releases.store, await releases.keys.memory.load())).root.signed
      : undefined;
    const rows = [];
    for (const role of roles) {
      const found = await findKeys(folders, role);
      const {keys, threshold} = root === undefined ? {keys: [], threshold: 0} : roleKeys(root, role);
      const ids = new Set([...keys.map(({keyID}) => keyID), ...found.map(({keyId}) => keyId)]);
      for (const keyId of ids) {
        const file = found.find(one => one.keyId === keyId);
        const trusted = keys.some(({keyID}) => keyID === keyId);
        rows.push({
          role,
          keyId,
          trusted,
          threshold,
          keys: keys.length,
          sealed: file?.sealed,
          path: file?.path,
        });
      }
    }
    if (wantsJson(flags)) context.print(JSON.stringify(rows, null, 2));
    else {
      const lines = rows.map(row => [
        row.role,
        row.keyId.slice(0, 16),
        row.trusted ? `${row.threshold} of ${row.keys}` : 'no',
        row.sealed === undefined ? '' : row.sealed ? 'yes' : 'no',
        row.path ?? '(not here)',
      ]);
      for (const line of table([['ROLE', 'KEY', 'TRUSTED', 'SEALED', 'FILE'], ...lines])) context.print(line);
    }
    return 0;
  },
};

function readCounts(flags: FlagValues, role: 'root' | 'targets'): KeyCounts {
  return {
    count: bounded(flags, `${role}-keys`) ?? defaults[role].count,
    threshold: bounded(flags, `${role}-threshold`) ?? defaults[role].threshold,
  };
}

function bounded(flags: FlagValues, name: string): number | undefined {
  const value = flagInteger(flags, name);
  if (value === undefined || (value >= 1 && value <= MAX_KEYS)) return value;
  throw new UsageError('bad-value', `--${name} is ${value}`, {remedy: `give 1 to ${MAX_KEYS}`});
}
