/** `hawser release promote`. */
import {Type} from 'typebox';
import {flagString, UsageError, type Command} from '../../../common/command.ts';
import type {ReleaseManifest} from '../../../common/contracts/release.ts';
import {openServerClient, ServerClientError, type ServerClient} from '../../../common/server-client.ts';
import {readCatalogue} from '../catalogue.ts';
import {ReleasesError} from '../errors.ts';
import {openReleases, repositoryFlag} from './options.ts';
import {OfferedChannels, type OfferedChannel} from './server-answers.ts';

export const promoteCommand: Command = {
  name: 'release promote',
  summary: 'offer a release to the machines that follow a channel',
  usage: '[VERSION]',
  arguments: {min: 0, max: 1},
  flags: [
    {name: 'channel', type: 'string', default: 'stable', summary: 'channel that offers it from now on'},
    {name: 'from-channel', type: 'string', summary: 'take the release that this channel offers'},
    repositoryFlag,
  ],
  run: async (context, {args, flags}) => {
    const server = await openServerClient(context.env, context.signal);
    const channel = flagString(flags, 'channel') ?? 'stable';
    const version = await chooseVersion(server, args[0], flagString(flags, 'from-channel'));
    const {releases, withdrawn} = await readCatalogue(openReleases(context, flags).store);
    const release = releases.find(one => one.version === version);
    if (release === undefined) {
      const taken = Object.hasOwn(withdrawn, version) ? withdrawn[version] : undefined;
      throw taken === undefined
        ? new ReleasesError('no-such-release', `${version} is not published`, {
            remedy: 'see "hawser release ls"',
          })
        : new ReleasesError('withdrawn', `${version} was withdrawn: ${taken.reason}`);
    }
    // The server is told what the signed manifest says; machines verify it themselves.
    const path = `/v1/releases/${encodeURIComponent(version)}`;
    await server.call('PUT', path, Type.Unknown(), factsOf(release));
    await ensureChannel(server, channel);
    await server.call('POST', `${channelPath(channel)}/promote`, Type.Unknown(), {version});
    context.print(`${channel} offers ${version}`);
    return 0;
  },
};

async function chooseVersion(
  server: ServerClient,
  version: string | undefined,
  from: string | undefined,
): Promise<string> {
  if ((version === undefined) === (from === undefined)) {
    throw new UsageError('missing-argument', 'name a version or a channel that offers it, one of both', {
      remedy: 'for instance: hawser release promote 1.2.0, or hawser release promote --from-channel beta',
    });
  }
  if (version !== undefined) return version;
  const channels = await listChannels(server);
  const promotion = channels.find(({name}) => name === from)?.promotion;
  if (promotion !== undefined) return promotion.version;
  throw new ReleasesError('no-such-release', `the channel ${from ?? ''} offers no release`, {
    remedy: 'see "hawser release ls"',
  });
}

/** The first promotion makes the channel. */
async function ensureChannel(server: ServerClient, channel: string): Promise<void> {
  if ((await listChannels(server)).some(({name}) => name === channel)) return;
  try {
    await server.call('PUT', channelPath(channel), Type.Unknown(), {});
  } catch (error) {
    if (error instanceof ServerClientError && error.context['status'] === 400)
      throw new UsageError('bad-value', `"${channel}" cannot be the name of a channel`, {cause: error});
    throw error;
  }
}

async function listChannels(server: ServerClient): Promise<readonly OfferedChannel[]> {
  return (await server.call('GET', '/v1/channels', OfferedChannels)).channels;
}

function channelPath(channel: string): string {
  return `/v1/channels/${encodeURIComponent(channel)}`;
}

/** What the policy needs of a signed manifest. */
function factsOf(release: ReleaseManifest) {
  const {version, rootHash, created, barrier, from, downgradeFrom, fullBytes} = release;
  return {
    version,
    rootHash,
    created,
    barrier,
    fullBytes,
    ...(from === undefined ? {} : {from}),
    ...(downgradeFrom === undefined ? {} : {downgradeFrom}),
  };
}
