/** `hawser image build`. */
import {resolve} from 'node:path';
import {
  flagBoolean,
  flagString,
  UsageError,
  type Command,
  type CommandContext,
  type CommandInput,
} from '../../services/common/command.ts';
import {resolvePaths} from '../../services/common/paths.ts';
import {buildWithLock, defaultSigning} from '../build-command.ts';
import {megabytes} from '../contents/sizes.ts';
import type {Signing} from '../signing.ts';
import {loadLock, machineMirrors, recipePaths} from '../workspace.ts';
import {loadRecipeWithSuites, recipeFlags, suitesFlags} from './flags.ts';

export const buildCommand: Command = {
  name: 'image build',
  summary: 'build the image from its lock',
  arguments: {min: 0, max: 0},
  flags: [
    ...recipeFlags,
    ...suitesFlags,
    {name: 'version', type: 'string', summary: "version of the image instead of the recipe's"},
    {
      name: 'keys',
      type: 'string',
      summary: 'folder of signing keys (default: those of "hawser keys init", when there)',
    },
    {
      name: 'signatures',
      type: 'string',
      summary: 'put the signatures of this folder on the image instead of signing (an image\'s "signatures")',
    },
    {name: 'unsigned', type: 'boolean', summary: 'do not sign, even when there are keys'},
    {
      name: 'release',
      type: 'boolean',
      summary: 'also make the compressed disk for publishing; takes minutes',
    },
    {name: 'no-budget', type: 'boolean', summary: 'build also what is over image-build/budget.json'},
    {
      name: 'if-changed',
      type: 'boolean',
      summary: 'do nothing when the current image was built from the same inputs',
    },
    {
      name: 'refresh',
      type: 'boolean',
      summary:
        'when locked packages are gone from the archive, resolve anew and mark the image as not locked',
    },
  ],
  run: async (context, input) => {
    const {flags} = input;
    const release = flagBoolean(flags, 'release');
    if (release && flagBoolean(flags, 'refresh')) {
      throw new UsageError('bad-value', '--release and --refresh exclude each other', {
        remedy: 'a release is built from its lock: run "hawser image lock" first',
      });
    }
    const paths = recipePaths(context, input);
    const {home, cache} = resolvePaths(context.env);
    const recipe = await loadRecipeWithSuites(paths.recipe, input);
    const {folder, manifest, upToDate} = await buildWithLock(context, {
      recipe,
      recipeFolder: paths.folder,
      lock: await loadLock(paths.lock),
      mirrors: await machineMirrors(input),
      version: flagString(flags, 'version') ?? recipe.version,
      home,
      cache,
      signing: await readSigning(context, input, home),
      release,
      checkBudget: !flagBoolean(flags, 'no-budget'),
      refresh: flagBoolean(flags, 'refresh'),
      ifChanged: flagBoolean(flags, 'if-changed'),
    });
    const compressed = manifest.artefacts['disk.zst'];
    if (compressed !== undefined)
      context.warn(`compressed disk: ${compressed.file}, ${megabytes(compressed.size)}`);
    context.print(upToDate ? `up to date: ${folder}` : folder);
    return 0;
  },
};

async function readSigning(context: CommandContext, {flags}: CommandInput, home: string): Promise<Signing> {
  const keys = flagString(flags, 'keys');
  const signatures = flagString(flags, 'signatures');
  const unsigned = flagBoolean(flags, 'unsigned');
  if ([keys !== undefined, signatures !== undefined, unsigned].filter(Boolean).length > 1) {
    throw new UsageError('bad-value', '--keys, --signatures and --unsigned exclude each other', {
      remedy: 'give one of them',
    });
  }
  if (unsigned) return {kind: 'none'};
  if (keys !== undefined) return {kind: 'keys', folder: resolve(context.cwd, keys)};
  if (signatures !== undefined) return {kind: 'attach', folder: resolve(context.cwd, signatures)};
  return defaultSigning(home);
}
