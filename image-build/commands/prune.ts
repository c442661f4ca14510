/** `hawser image prune`: frees disk space. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {flagBoolean, flagInteger, UsageError, type Command} from '../../services/common/command.ts';
import {resolvePaths} from '../../services/common/paths.ts';
import {megabytes} from '../contents/sizes.ts';
import {measureUsage} from '../disk-usage.ts';
import {prunableCache, prunableImages} from '../prune.ts';
import {removeAbandoned} from '../workplace.ts';
import {outputFlag} from './flags.ts';
import {printResult} from './output.ts';

const KEEP = 1;

export const pruneCommand: Command = {
  name: 'image prune',
  summary: 'remove all images but the current one; machines keep the disks that they were made from',
  arguments: {min: 0, max: 0},
  flags: [
    {name: 'yes', short: 'y', type: 'boolean', summary: 'really remove; without it, only say what would be'},
    {
      name: 'cache',
      type: 'boolean',
      summary: 'also cached roots and build steps that were not used last; not while a build runs',
    },
    {name: 'keep', type: 'integer', summary: 'with --cache: how many of each kind stay', default: KEEP},
    outputFlag,
  ],
  run: async (context, input) => {
    const {home, cache} = resolvePaths(context.env);
    const images = join(home, 'images');
    const keep = flagInteger(input.flags, 'keep') ?? KEEP;
    if (keep < 0) throw new UsageError('bad-value', '--keep cannot be negative', {remedy: 'give 0 or more'});
    const yes = flagBoolean(input.flags, 'yes');
    const paths = [
      ...(await prunableImages(images)),
      ...(flagBoolean(input.flags, 'cache') ? await prunableCache(cache, keep) : []),
    ];
    const {freed} = await measureUsage(paths);
    if (yes) {
      for (const folder of [images, cache]) paths.push(...(await removeAbandoned(folder)));
      for (const path of paths) {
        context.signal.throwIfAborted();
        await rm(path, {recursive: true, force: true});
      }
    }
    printResult(context, input, {removed: yes, paths, freed}, () => {
      if (paths.length === 0) return ['there is nothing to remove'];
      const sum = yes ? `freed ${megabytes(freed)}` : `would free ${megabytes(freed)}; remove with --yes`;
      return [...paths.map(path => `${yes ? 'removed' : 'would remove'} ${path}`), sum];
    });
    return 0;
  },
};
