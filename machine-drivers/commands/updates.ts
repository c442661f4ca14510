/** What `machine create` is told about updates, as first-boot files. */
import {resolve} from 'node:path';
import {UsageError, flagList, flagString} from '../../services/common/command.ts';
import type {CommandContext, CommandInput, Flag, FlagValues} from '../../services/common/command.ts';
import type {Driver} from '../driver.ts';
import {MachineError} from '../errors.ts';
import type {FirstBootFile, MachineRuntime} from '../ports.ts';

export const updateFlags: readonly Flag[] = [
  {
    name: 'update-server',
    type: 'string',
    env: 'HAWSER_UPDATE_SERVER',
    summary: 'address of the server that updates the machine, https://...; without it nothing updates it',
  },
  {name: 'update-group', type: 'string', summary: 'its group: short for --label group=NAME'},
  {name: 'label', type: 'list', summary: 'NAME=VALUE, by which ls and groups select machines'},
  {
    name: 'update-root',
    type: 'string',
    summary:
      'TUF root that the machine trusts first; HAWSER_HOME/release-keys/root.json, else the newest of HAWSER_HOME/repository',
  },
];

/** None without `--update-server`. Throws {@link UsageError} and `bad-setting`. */
export async function updateFiles(
  runtime: MachineRuntime,
  driver: Driver,
  settings: unknown,
  context: CommandContext,
  {flags}: CommandInput,
): Promise<readonly FirstBootFile[]> {
  const address = flagString(flags, 'update-server');
  const labels = parseLabels(flagList(flags, 'label'));
  const group = flagString(flags, 'update-group');
  if (address === undefined) {
    if (group === undefined) return [];
    throw new UsageError('missing-argument', 'a group is of the update server', {
      remedy: 'give --update-server too',
    });
  }
  const root = flagString(flags, 'update-root');
  return runtime.updateFiles({
    server: fromInside(driver, settings, address),
    labels: group === undefined ? labels : {...labels, group},
    ...(root === undefined ? {} : {root: resolve(context.cwd, root)}),
  });
}

/** The server's address as the machine reaches it: our loopback is not the machine's. */
function fromInside(driver: Driver, settings: unknown, address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url?.protocol !== 'https:') {
    throw new UsageError('bad-value', `--update-server is "${address}"`, {
      remedy: 'give for instance https://hawser.example.com:8443',
    });
  }
  if (driver.serverFromInside === undefined) {
    if (!['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname)) return url.origin;
    throw new MachineError(
      'bad-setting',
      `machines of ${driver.name} cannot reach ${url.origin} on this host's loopback`,
      {remedy: 'start hawser server with --listen on an address that they reach'},
    );
  }
  const port = url.port === '' ? 443 : Number(url.port);
  const inside = driver.serverFromInside(settings, {host: url.hostname, port});
  return `https://${inside.host}:${inside.port}`;
}

/** Every label of the machine: also those of its Docker, as docker-machine's `ls --filter label=` has it. */
export function labelsOf(flags: FlagValues): Record<string, string> {
  return {...parseLabels(flagList(flags, 'engine-label')), ...parseLabels(flagList(flags, 'label'))};
}

function parseLabels(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.map(word => {
      const [, name, value] = /^([A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?)=(.{0,63})$/.exec(word) ?? [];
      if (name !== undefined && value !== undefined) return [name, value] as const;
      throw new UsageError('bad-value', `--label is "${word}"`, {remedy: 'give NAME=VALUE'});
    }),
  );
}
