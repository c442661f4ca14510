/** `hawser release mirror` and `verify`. */
import {readFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {systemClock} from '../../../common/clock.ts';
import {publisherFiles} from '../../../common/contracts/release.ts';
import {
  flagString,
  UsageError,
  type Command,
  type CommandContext,
  type FlagValues,
} from '../../../common/command.ts';
import {resolvePaths} from '../../../common/paths.ts';
import {withStep} from '../../../common/progress.ts';
import {folderSource, httpSource, type RepositorySource} from '../../../common/tuf/source.ts';
import {checkFile, copyFile, type Place} from '../adapters/payload-files.ts';
import {openRepositoryFolder, repositoryFoldersOf} from '../adapters/repository-folder.ts';
import {apply} from '../context.ts';
import {ReleasesError} from '../errors.ts';
import {keptMetadata, readContents} from '../mirror.ts';
import {repositoryFlag, repositoryPath} from './options.ts';

const rootFlag = {
  name: 'root',
  type: 'string' as const,
  env: 'HAWSER_RELEASE_ROOT',
  summary: 'root.json to trust, when not that of the own keys',
};

export const mirrorCommand: Command = {
  name: 'release mirror',
  summary: 'copy a repository, proving every byte on the way',
  usage: 'URL|DIR',
  arguments: {min: 1, max: 1},
  flags: [{name: 'to', type: 'string', summary: 'folder of the copy, required'}, rootFlag],
  run: async (context, {args, flags}) => {
    const named = flagString(flags, 'to');
    if (named === undefined)
      throw new UsageError('missing-argument', 'release mirror needs --to DIR', {
        remedy: 'name the folder of the copy',
      });
    const to = resolve(context.cwd, named);
    const {source, place} = openSource(args[0] ?? '', context.cwd);
    const store = openRepositoryFolder(repositoryFoldersOf(to), systemClock);
    await using _ = await store.lock(context.signal);
    const contents = await readContents({
      source,
      trustedRoot: await readRoot(context, flags),
      kept: await keptMetadata(folderSource(to)),
      now: systemClock.now(),
      signal: context.signal,
    });
    let copied = 0;
    await withStep(
      context.progress,
      `copy ${source.name}`,
      async step => {
        for (const [index, file] of contents.files.entries()) {
          step.update(`${index + 1} of ${contents.files.length} files`);
          if (await copyFile(place, file, to, context.signal)) copied++;
        }
      },
      () => `${copied} of ${contents.files.length} files were new`,
    );
    await apply(store, contents.writes);
    context.print(`${to} holds ${contents.releases.length} releases`);
    return 0;
  },
};

export const verifyCommand: Command = {
  name: 'release verify',
  summary: 'check every signature and hash of a repository, from the trusted root on',
  usage: '[DIR]',
  arguments: {min: 0, max: 1},
  flags: [rootFlag, repositoryFlag],
  run: async (context, {args, flags}) => {
    const folder = args[0] === undefined ? repositoryPath(context, flags) : resolve(context.cwd, args[0]);
    const {files, releases, refreshed} = await readContents({
      source: folderSource(folder),
      trustedRoot: await readRoot(context, flags),
      now: systemClock.now(),
      signal: context.signal,
    });
    for (const file of files) {
      context.signal.throwIfAborted();
      await checkFile(folder, file);
    }
    context.print(
      `${folder} is whole: root ${refreshed.root.version}, ${releases.length} releases, ${files.length} payload files`,
    );
    return 0;
  },
};

function openSource(named: string, cwd: string): {source: RepositorySource; place: Place} {
  if (/^https?:\/\//.test(named)) {
    const base = new URL(named.endsWith('/') ? named : `${named}/`);
    return {source: httpSource(named), place: {base}};
  }
  const folder = resolve(cwd, named);
  return {source: folderSource(folder), place: {folder}};
}

async function readRoot(context: CommandContext, flags: FlagValues): Promise<Uint8Array> {
  const named = flagString(flags, 'root');
  const own = join(resolvePaths(context.env).home, ...publisherFiles.trustedRoot);
  const path = named === undefined ? own : resolve(context.cwd, named);
  try {
    return await readFile(path);
  } catch (error) {
    throw new ReleasesError('no-trusted-root', `there is no root to trust at ${path}`, {
      remedy: 'name one with --root: the root.json that came to you by a way that you trust',
      cause: error,
    });
  }
}
