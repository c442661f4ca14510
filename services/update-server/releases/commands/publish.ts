/** `hawser release publish` and `withdraw`. */
import {readFile, stat} from 'node:fs/promises';
import {resolve} from 'node:path';
import {Type} from 'typebox';
import {
  flagBoolean,
  flagString,
  type Command,
  type CommandContext,
  type FlagValues,
} from '../../../common/command.ts';
import {findServerClient} from '../../../common/server-client.ts';
import type {BuildPayload, ReleaseImage} from '../ports.ts';
import {publishRelease} from '../publish.ts';
import {withdrawRelease} from '../withdraw.ts';
import {keyFlags, lifetimeFlags, openReleases, repositoryFlag, repositoryPath} from './options.ts';

/** What the operator command lends: other parts know images. */
export interface PublishDeps {
  readonly openImage: (context: CommandContext, named: string | undefined) => Promise<ReleaseImage>;
  readonly buildPayload: BuildPayload;
}

export function publishCommand(deps: PublishDeps): Command {
  return {
    name: 'release publish',
    summary: 'make a release of a built image',
    usage: '[IMAGE]',
    arguments: {min: 0, max: 1},
    flags: [
      {name: 'version', type: 'string', summary: "version of the release, when not the image's own"},
      {
        name: 'barrier',
        type: 'boolean',
        summary: 'older machines pass through this release before any later one',
      },
      {name: 'from', type: 'string', summary: 'semver range of versions that may update straight to it'},
      {
        name: 'downgrade-from',
        type: 'string',
        summary: 'semver range of higher versions that may go down to it',
      },
      {name: 'notes', type: 'string', summary: 'text for people, or a file with it'},
      {name: 'allow-unsigned', type: 'boolean', summary: 'publish an image without Secure Boot signatures'},
      {name: 'allow-unlocked', type: 'boolean', summary: 'publish an image that was not built from its lock'},
      repositoryFlag,
      ...keyFlags,
      ...lifetimeFlags,
    ],
    run: async (context, {args, flags}) => {
      const image = await deps.openImage(context, args[0]);
      const version = flagString(flags, 'version');
      const {created, manifest} = await publishRelease(
        {
          ...openReleases(context, flags),
          buildPayload: deps.buildPayload,
          repository: repositoryPath(context, flags),
          progress: context.progress,
        },
        {
          image,
          version,
          barrier: flagBoolean(flags, 'barrier'),
          from: flagString(flags, 'from'),
          downgradeFrom: flagString(flags, 'downgrade-from'),
          notes: await readNotes(flags, context.cwd),
          allowUnsigned: flagBoolean(flags, 'allow-unsigned'),
          allowUnlocked: flagBoolean(flags, 'allow-unlocked'),
        },
      );
      if (version !== undefined && version !== image.version)
        context.warn(`the image calls itself ${image.version}: that is what machines will say that they run`);
      context.print(created ? `published ${manifest.version}` : `${manifest.version} is published already`);
      context.print(`root hash ${manifest.rootHash}`);
      if (manifest.comparedWith !== undefined) {
        context.print(`since ${manifest.comparedWith}: ${manifest.packages.length} packages changed`);
        for (const {name, from, to} of manifest.packages)
          context.print(`  ${name} ${from ?? '(new)'} -> ${to ?? '(gone)'}`);
      }
      return 0;
    },
  };
}

export const withdrawCommand: Command = {
  name: 'release withdraw',
  summary: 'take a release back: no machine installs it any more',
  usage: 'VERSION',
  arguments: {min: 1, max: 1},
  flags: [
    {name: 'reason', type: 'string', summary: 'what is wrong with it: kept, signed, with the repository'},
    repositoryFlag,
    ...keyFlags,
    ...lifetimeFlags,
  ],
  run: async (context, {args, flags}) => {
    const [version = ''] = args;
    const reason = flagString(flags, 'reason') ?? 'withdrawn by the operator';
    const {changed, withdrawal} = await withdrawRelease(openReleases(context, flags), version, reason);
    context.print(
      changed ? `withdrew ${version}` : `${version} was withdrawn on ${withdrawal.at}: ${withdrawal.reason}`,
    );
    // The signed list is what machines obey; the server is told so that it stops offering it at once.
    const server = await findServerClient(context.env, context.signal);
    if (server === undefined) return 0;
    await server.call('POST', `/v1/releases/${encodeURIComponent(version)}/withdraw`, Type.Unknown(), {
      reason: withdrawal.reason,
    });
    context.print(`${server.server} stopped its rollouts`);
    return 0;
  },
};

/** A text, or the content of the file that it names. */
async function readNotes(flags: FlagValues, cwd: string): Promise<string> {
  const given = flagString(flags, 'notes') ?? '';
  if (given === '' || given.includes('\n')) return given;
  const path = resolve(cwd, given);
  const isFile = await stat(path).then(
    found => found.isFile(),
    () => false,
  );
  return isFile ? (await readFile(path, 'utf8')).trim() : given;
}
