/** `hawser fleet ...`: the fleet as it stands, and decisions about single machines. */
import {systemClock} from '../../common/clock.ts';
import {
  flagBoolean,
  flagInteger,
  flagString,
  UsageError,
  type Command,
  type CommandContext,
} from '../../common/command.ts';
import {AuditList} from '../../common/contracts/audit.ts';
import {FleetStatus, MachineStatus, StoredEvent} from '../../common/contracts/policy.ts';
import {Type} from 'typebox';
import {byName, renderAudit, renderMachine, renderStatus} from './fleet-tables.ts';
import {connect, outputFlag, parseLabels, segment, wantsJson} from './shared.ts';

const WATCH_MS = 2000;
const one = {min: 1, max: 1};

export const fleetCommands: readonly Command[] = [
  {
    name: 'fleet status',
    summary: 'every machine with version, slot, phase and what it waits for; rollouts; locks',
    arguments: {min: 0, max: 0},
    flags: [
      {name: 'watch', short: 'w', type: 'boolean', summary: 'again every two seconds until ^C'},
      {name: 'group', type: 'string', summary: 'only this group'},
      outputFlag,
    ],
    run: async (context, input) => {
      const json = wantsJson(input);
      const group = flagString(input.flags, 'group');
      const client = await connect(context);
      for (;;) {
        const path = group === undefined ? '/v1/fleet' : `/v1/fleet?group=${encodeURIComponent(group)}`;
        const status = await client.call('GET', path, FleetStatus);
        if (json) context.print(JSON.stringify(status));
        else for (const line of renderStatus(status)) context.print(line);
        if (!flagBoolean(input.flags, 'watch')) return 0;
        try {
          await systemClock.sleep(WATCH_MS, context.signal);
        } catch {
          return 0;
        }
        if (!json) context.print('');
      }
    },
  },
  {
    name: 'fleet machines',
    summary: 'names of the machines that have reported, or one machine with its last events',
    usage: '[MACHINE]',
    arguments: {min: 0, max: 1},
    flags: [outputFlag],
    run: async (context, input) => {
      const json = wantsJson(input);
      const client = await connect(context);
      const [name] = input.args;
      if (name === undefined) {
        const {machines} = await client.call('GET', '/v1/fleet', FleetStatus);
        if (json) context.print(JSON.stringify(machines));
        else for (const each of byName(machines)) context.print(`${each.name}\t${each.uuid}`);
        return 0;
      }
      const machine = await client.call('GET', `/v1/machines/${segment(name)}`, MachineStatus);
      const path = `/v1/machines/${machine.uuid}/events`;
      const {events} = await client.call('GET', path, Type.Object({events: Type.Array(StoredEvent)}));
      if (json) context.print(JSON.stringify({...machine, events}));
      else for (const line of renderMachine(machine, events)) context.print(line);
      return 0;
    },
  },
  {
    name: 'fleet audit',
    summary: 'what operators did, and what the server did by itself, newest first',
    arguments: {min: 0, max: 0},
    flags: [
      {name: 'limit', type: 'integer', default: 50, summary: 'entries to show, 1000 at most'},
      {name: 'before', type: 'string', summary: 'only older ones than the entry with this id'},
      outputFlag,
    ],
    run: async (context, input) => {
      const json = wantsJson(input);
      const limit = flagInteger(input.flags, 'limit') ?? 50;
      if (limit < 1 || limit > 1000)
        throw new UsageError('bad-value', `--limit is ${limit}`, {remedy: 'give 1 to 1000'});
      const before = flagString(input.flags, 'before');
      const query = new URLSearchParams({limit: String(limit), ...(before === undefined ? {} : {before})});
      const client = await connect(context);
      const audit = await client.call('GET', `/v1/audit?${query.toString()}`, AuditList);
      if (json) context.print(JSON.stringify(audit));
      else for (const line of renderAudit(audit)) context.print(line);
      for (const problem of audit.problems) context.warn(`hawser: ${problem}`);
      return 0;
    },
  },
  {
    name: 'fleet label',
    summary: "lay labels over a machine's own; NAME- takes one away",
    usage: 'MACHINE NAME=VALUE...',
    arguments: {min: 2, max: 64},
    flags: [],
    run: (context, {args}) => change(context, args[0] ?? '', {labels: parseLabels(args.slice(1))}),
  },
  {
    name: 'fleet assign',
    summary: 'put a machine into a group, whatever its labels say',
    usage: 'MACHINE GROUP',
    arguments: {min: 2, max: 2},
    flags: [],
    run: (context, {args}) => change(context, args[0] ?? '', {group: args[1] ?? ''}),
  },
  {
    name: 'fleet unassign',
    summary: 'let the labels decide again',
    usage: 'MACHINE',
    arguments: one,
    flags: [],
    run: (context, {args}) => change(context, args[0] ?? '', {group: null}),
  },
  {
    name: 'fleet pin',
    summary: 'hold a machine at a version, whatever the channel says',
    usage: 'MACHINE VERSION',
    arguments: {min: 2, max: 2},
    flags: [],
    run: (context, {args}) => change(context, args[0] ?? '', {pin: args[1] ?? ''}),
  },
  {
    name: 'fleet unpin',
    summary: 'let the channel decide again',
    usage: 'MACHINE',
    arguments: one,
    flags: [],
    run: (context, {args}) => change(context, args[0] ?? '', {pin: null}),
  },
  {
    name: 'fleet forget',
    summary: 'refuse a machine from now on, and count it nowhere',
    usage: 'MACHINE',
    arguments: one,
    flags: [],
    run: async (context, {args}) => {
      const client = await connect(context);
      await client.call('DELETE', `/v1/machines/${segment(args[0] ?? '')}`, Type.Object({}));
      return 0;
    },
  },
];

async function change(context: CommandContext, name: string, body: object): Promise<number> {
  const client = await connect(context);
  await client.call('PATCH', `/v1/machines/${segment(name)}`, MachineStatus, body);
  return 0;
}
