/** `hawser release ls`. */
import type {Command, CommandContext} from '../../../common/command.ts';
import type {ReleaseManifest} from '../../../common/contracts/release.ts';
import {findServerClient, ServerClientError} from '../../../common/server-client.ts';
import {readCatalogue} from '../catalogue.ts';
import {OfferedChannels} from './server-answers.ts';
import {day, openReleases, outputFlag, repositoryFlag, table, wantsJson} from './options.ts';

interface Row {
  readonly version: string;
  readonly published: string;
  readonly state: string;
  readonly channels: readonly string[];
  readonly fullBytes?: number;
  readonly comparedWith?: string | undefined;
  readonly packages?: number;
  readonly rootHash: string;
}

export const listCommand: Command = {
  name: 'release ls',
  summary: 'list the releases, newest first',
  arguments: {min: 0, max: 0},
  flags: [outputFlag, repositoryFlag],
  run: async (context, {flags}) => {
    const {releases, withdrawn} = await readCatalogue(openReleases(context, flags).store);
    const channels = await readChannels(context);
    const rows: Row[] = [
      ...releases.map(release => describe(release, channels)),
      ...Object.entries(withdrawn).map(([version, {at, reason, rootHash}]) => ({
        version,
        published: '',
        state: `withdrawn ${day(at)}: ${reason}`,
        channels: [],
        rootHash,
      })),
    ];
    if (wantsJson(flags)) context.print(JSON.stringify(rows, null, 2));
    else if (rows.length === 0)
      context.print('there is no release yet: make one with "hawser release publish"');
    else {
      const lines = rows.map(row => [
        row.version,
        row.published,
        row.fullBytes === undefined ? '' : `${(row.fullBytes / 1e6).toFixed(1)} MB`,
        row.comparedWith === undefined ? '' : `${row.packages ?? 0} since ${row.comparedWith}`,
        row.channels.join(','),
        row.rootHash.slice(0, 12),
        row.state,
      ]);
      const head = ['VERSION', 'PUBLISHED', 'FULL', 'PACKAGES', 'CHANNELS', 'ROOT HASH', 'STATE'];
      for (const line of table([head, ...lines])) context.print(line);
    }
    return 0;
  },
};

function describe(release: ReleaseManifest, channels: ReadonlyMap<string, readonly string[]>): Row {
  return {
    version: release.version,
    published: day(release.created),
    state: release.barrier ? 'barrier' : '',
    channels: channels.get(release.version) ?? [],
    fullBytes: release.fullBytes,
    comparedWith: release.comparedWith,
    packages: release.packages.length,
    rootHash: release.rootHash,
  };
}

/** Which channels offer a version; the list is shown without them when the server does not answer. */
async function readChannels(context: CommandContext): Promise<ReadonlyMap<string, readonly string[]>> {
  const offered = new Map<string, string[]>();
  try {
    const server = await findServerClient(context.env, context.signal);
    if (server === undefined) return offered;
    const {channels} = await server.call('GET', '/v1/channels', OfferedChannels);
    for (const {name, promotion} of channels) {
      if (promotion !== undefined)
        offered.set(promotion.version, [...(offered.get(promotion.version) ?? []), name]);
    }
  } catch (error) {
    if (!(error instanceof ServerClientError)) throw error;
    context.warn(`channels are not shown: ${error.message}`);
  }
  return offered;
}
