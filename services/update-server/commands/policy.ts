/** `hawser channel|group|rollout ...`. */
import {readFile} from 'node:fs/promises';
import {resolve} from 'node:path';
import {Type} from 'typebox';
import {LineCounter, parseDocument, stringify} from 'yaml';
import {flagString, type Command, type CommandContext, type CommandInput} from '../../common/command.ts';
import {Channel, Group, GroupConfig, RolloutSummary} from '../../common/contracts/policy.ts';
import {ServerError} from '../errors.ts';
import {renderRollouts} from './fleet-tables.ts';
import {findProblem} from './problems.ts';
import {connect, outputFlag, renderTable, segment, wantsJson} from './shared.ts';

const none = {min: 0, max: 0};
const one = {min: 1, max: 1};

/** Calls, and prints the answer as JSON or as the lines of `render`. */
async function show<Answer>(
  context: CommandContext,
  input: CommandInput,
  ask: () => Promise<Answer>,
  render: (answer: Answer) => readonly string[],
): Promise<number> {
  const json = wantsJson(input);
  const answer = await ask();
  for (const line of json ? [JSON.stringify(answer)] : render(answer)) context.print(line);
  return 0;
}

export const channelCommands: readonly Command[] = [
  {
    name: 'channel ls',
    summary: 'list channels and what they offer',
    arguments: none,
    flags: [outputFlag],
    run: async (context, input) => {
      const client = await connect(context);
      const schema = Type.Object({channels: Type.Array(Channel)});
      return show(
        context,
        input,
        async () => (await client.call('GET', '/v1/channels', schema)).channels,
        channels =>
          renderTable(
            ['CHANNEL', 'VERSION', 'SINCE', 'BY', 'DESCRIPTION'],
            channels.map(({name, promotion, description}) => [
              name,
              promotion?.version ?? '-',
              promotion?.at ?? '-',
              promotion?.by ?? '-',
              description ?? '',
            ]),
          ),
      );
    },
  },
  {
    name: 'channel set',
    summary: 'make a channel, or describe it anew',
    usage: 'NAME',
    arguments: one,
    flags: [{name: 'description', type: 'string', summary: 'what it is for'}],
    run: async (context, {args, flags}) => {
      const client = await connect(context);
      const description = flagString(flags, 'description');
      const body = description === undefined ? {} : {description};
      await client.call('PUT', `/v1/channels/${segment(args[0] ?? '')}`, Channel, body);
      return 0;
    },
  },
  {
    name: 'channel rm',
    summary: 'remove a channel that no group follows',
    usage: 'NAME',
    arguments: one,
    flags: [],
    run: async (context, {args}) => {
      const client = await connect(context);
      await client.call('DELETE', `/v1/channels/${segment(args[0] ?? '')}`, Type.Object({}));
      return 0;
    },
  },
];

export const groupCommands: readonly Command[] = [
  {
    name: 'group ls',
    summary: 'list groups',
    arguments: none,
    flags: [outputFlag],
    run: async (context, input) => {
      const client = await connect(context);
      const schema = Type.Object({groups: Type.Array(Group)});
      return show(
        context,
        input,
        async () => (await client.call('GET', '/v1/groups', schema)).groups,
        groups =>
          renderTable(
            ['GROUP', 'CHANNEL', 'SELECTOR', 'WAVES', 'WINDOWS', 'PIN', 'DESCRIPTION'],
            groups.map(({name, config}) => [
              name,
              config.channel,
              selectorText(name, config),
              String(config.waves?.length ?? 1),
              String(config.windows?.length ?? 0),
              config.pin ?? '-',
              config.description ?? '',
            ]),
          ),
      );
    },
  },
  {
    name: 'group show',
    summary: 'print the settings of a group, as group set takes them',
    usage: 'NAME',
    arguments: one,
    flags: [outputFlag],
    run: async (context, input) => {
      const client = await connect(context);
      return show(
        context,
        input,
        async () => (await client.call('GET', `/v1/groups/${segment(input.args[0] ?? '')}`, Group)).config,
        config => stringify(config).trimEnd().split('\n'),
      );
    },
  },
  {
    name: 'group set',
    summary: 'make a group, or replace its settings by those of a YAML file',
    usage: 'NAME FILE',
    arguments: {min: 2, max: 2},
    flags: [],
    run: async (context, {args}) => {
      const [name = '', file = ''] = args;
      const config = await readGroupFile(resolve(context.cwd, file));
      const client = await connect(context);
      await client.call('PUT', `/v1/groups/${segment(name)}`, Group, config);
      return 0;
    },
  },
  {
    name: 'group rm',
    summary: 'remove a group; its machines get no updates until another one selects them',
    usage: 'NAME',
    arguments: one,
    flags: [],
    run: async (context, {args}) => {
      const client = await connect(context);
      await client.call('DELETE', `/v1/groups/${segment(args[0] ?? '')}`, Type.Object({}));
      return 0;
    },
  },
];

const reasonFlag = {
  name: 'reason',
  type: 'string',
  summary: 'shown in status and kept in the audit',
} as const;

export const rolloutCommands: readonly Command[] = [
  {
    name: 'rollout ls',
    summary: 'list the current rollout of each group',
    arguments: none,
    flags: [outputFlag],
    run: async (context, input) => {
      const client = await connect(context);
      const schema = Type.Object({rollouts: Type.Array(RolloutSummary)});
      return show(
        context,
        input,
        async () => (await client.call('GET', '/v1/rollouts', schema)).rollouts,
        renderRollouts,
      );
    },
  },
  {
    name: 'rollout show',
    summary: 'the waves of a rollout and how far each has come',
    usage: 'GROUP',
    arguments: one,
    flags: [outputFlag],
    run: async (context, input) => {
      const client = await connect(context);
      const path = `/v1/rollouts/${segment(input.args[0] ?? '')}`;
      return show(context, input, () => client.call('GET', path, RolloutSummary), renderRollout);
    },
  },
  ...(['pause', 'resume', 'abort'] as const).map((verb): Command => ({
    name: `rollout ${verb}`,
    summary: {
      pause: 'no further machine updates; those out of service finish',
      resume: 'go on with one that is paused or stopped; failures known by now do not stop it again',
      abort: 'end it for good: machines drop what they have staged',
    }[verb],
    usage: 'GROUP',
    arguments: one,
    flags: [reasonFlag, outputFlag],
    run: async (context, input) => {
      const client = await connect(context);
      const reason = flagString(input.flags, 'reason');
      const path = `/v1/rollouts/${segment(input.args[0] ?? '')}/${verb}`;
      const body = reason === undefined ? {} : {reason};
      return show(context, input, () => client.call('POST', path, RolloutSummary, body), renderRollout);
    },
  })),
];

function renderRollout(summary: RolloutSummary): string[] {
  const {rollout, waves} = summary;
  const rows = waves.map((wave, index) => [
    String(index + 1),
    wave.name,
    wave.state,
    `${wave.done}/${wave.machines}`,
    rollout.waves[index]?.openedAt ?? '-',
    rollout.waves[index]?.healthyAt ?? '-',
  ]);
  return [
    ...renderRollouts([summary]),
    '',
    ...renderTable(['WAVE', 'NAME', 'STATE', 'DONE', 'OPENED', 'HEALTHY'], rows),
  ];
}

function selectorText(name: string, {selector}: GroupConfig): string {
  const entries = Object.entries(selector ?? {group: name});
  return entries.length === 0 ? '(all others)' : entries.map(([key, value]) => `${key}=${value}`).join(',');
}

/** Reads a group's settings; every problem with its place in the file. */
export async function readGroupFile(path: string): Promise<GroupConfig> {
  const text = await readFile(path, 'utf8');
  const lines = new LineCounter();
  const document = parseDocument(text, {lineCounter: lines, schema: 'core'});
  const [broken] = document.errors;
  if (broken !== undefined) throw new ServerError('malformed', `${path}: ${broken.message.split('\n')[0]}`);
  const value: unknown = document.toJS();
  const problem = findProblem(GroupConfig, value, document, lines);
  if (problem === undefined) return value as GroupConfig;
  throw new ServerError('malformed', `${path}:${problem.line}:${problem.column}: ${problem.message}`);
}
