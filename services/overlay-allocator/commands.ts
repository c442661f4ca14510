/** `hawser net`: networks that span all hosts. */
import {Type} from 'typebox';
import {
  flagBoolean,
  flagList,
  flagString,
  UsageError,
  type Command,
  type CommandContext,
  type CommandInput,
  type Flag,
} from '../common/command.ts';
import {NetworkList, OverlayNetwork} from '../common/contracts/overlay.ts';
import {openServerClient, type ServerClient} from '../common/server-client.ts';
import {findFaults, renderNetwork, renderNetworks} from './render.ts';

const output: Flag = {name: 'output', type: 'string', default: 'text', summary: 'text or json'};

export const netCommands: readonly Command[] = [
  {
    name: 'net ls',
    summary: 'list the networks, on how many hosts they are, and how full',
    arguments: {min: 0, max: 0},
    flags: [output],
    run: list,
  },
  {
    name: 'net inspect',
    summary: 'show which host holds which addresses of a network, and its containers',
    usage: 'NETWORK',
    arguments: {min: 1, max: 1},
    flags: [output],
    run: inspect,
  },
  {
    name: 'net check',
    summary: 'say what is wrong, host by host; the exit code is 1 when something is',
    arguments: {min: 0, max: 0},
    flags: [output],
    run: check,
  },
  {
    name: 'net create',
    summary: 'make a network on all hosts; needs the role operator',
    usage: 'NETWORK',
    arguments: {min: 1, max: 1},
    flags: [
      {name: 'subnet', type: 'string', summary: 'addresses of its containers, for instance 10.99.0.0/24'},
      {
        name: 'gateway',
        type: 'string',
        summary: "address that every host answers (default the subnet's first)",
      },
      {name: 'reserve', type: 'list', summary: 'addresses that are given only when asked for, as a prefix'},
      {name: 'internal', type: 'boolean', summary: 'without a way out'},
    ],
    run: create,
  },
  {
    name: 'net rm',
    summary: 'remove a network on which no containers are; needs the role operator',
    usage: 'NETWORK',
    arguments: {min: 1, max: 1},
    flags: [],
    run: remove,
  },
];

async function list(context: CommandContext, input: CommandInput): Promise<number> {
  const {known} = await open(context);
  say(context, input, known.networks, () => renderNetworks(known));
  return 0;
}

async function inspect(context: CommandContext, input: CommandInput): Promise<number> {
  const {known} = await open(context);
  const found = find(known, input.args[0] ?? '');
  say(context, input, found, () => renderNetwork(found, known));
  return 0;
}

async function check(context: CommandContext, input: CommandInput): Promise<number> {
  const {known} = await open(context);
  const faults = findFaults(known);
  const {hosts, networks} = known;
  say(context, input, {faults}, () =>
    faults.length > 0 ? faults : [`${hosts.length} hosts and ${networks.length} networks: nothing is wrong`],
  );
  return faults.length > 0 ? 1 : 0;
}

async function create(context: CommandContext, {args, flags}: CommandInput): Promise<number> {
  const subnet = flagString(flags, 'subnet');
  if (subnet === undefined)
    throw new UsageError('missing-argument', 'a network needs a subnet', {
      remedy: 'give --subnet 10.99.0.0/24',
    });
  const gateway = flagString(flags, 'gateway');
  const client = await openServerClient(context.env, context.signal);
  const made = await client.call('PUT', '/v1/overlay/networks', OverlayNetwork, {
    name: args[0],
    subnet,
    reserved: flagList(flags, 'reserve'),
    internal: flagBoolean(flags, 'internal'),
    ...(gateway === undefined ? {} : {gateway}),
  });
  context.warn(`network ${made.name} (${made.subnet}) is on its way to all hosts`);
  return 0;
}

async function remove(context: CommandContext, {args}: CommandInput): Promise<number> {
  const {client, known} = await open(context);
  const {network} = find(known, args[0] ?? '');
  await client.call('DELETE', `/v1/overlay/networks/${network.id}`, Type.Unknown());
  context.warn(`network ${network.name ?? network.id} is removed`);
  return 0;
}

async function open(
  context: CommandContext,
): Promise<{readonly client: ServerClient; readonly known: NetworkList}> {
  const client = await openServerClient(context.env, context.signal);
  return {client, known: await client.call('GET', '/v1/overlay/networks', NetworkList)};
}

/** By name or subnet. */
function find({networks}: NetworkList, word: string): NetworkList['networks'][number] {
  const found = networks.find(({network}) => network.name === word || network.subnet === word);
  if (found !== undefined) return found;
  throw new UsageError('bad-value', `there is no network ${word}`, {remedy: 'see hawser net ls'});
}

function say(
  context: CommandContext,
  {flags}: CommandInput,
  value: unknown,
  lines: () => readonly string[],
): void {
  const wanted = flagString(flags, 'output') ?? 'text';
  if (wanted !== 'text' && wanted !== 'json')
    throw new UsageError('bad-value', `--output is "${wanted}"`, {remedy: 'give text or json'});
  for (const line of wanted === 'json' ? [JSON.stringify(value)] : lines()) context.print(line);
}
