/** `hawser cluster …`: three machines become one etcd and one Swarm. */
import {flagInteger, flagString, UsageError} from '../../common/command.ts';
import type {Command, CommandContext, CommandInput} from '../../common/command.ts';
import {ClusterError} from './errors.ts';
import type {ClusterRuntime} from './ports.ts';
import {checkClusterName, foundCluster, sameFounders, withMember} from './record.ts';
import type {ClusterRecord} from './record.ts';
import {reconcile} from './reconcile.ts';
import {clusterStatus, renderStatus} from './status.ts';

const timeout = {
  name: 'timeout',
  type: 'integer',
  default: 900,
  summary: 'seconds to wait for the cluster',
} as const;

export function clusterCommands(open: (context: CommandContext) => ClusterRuntime): readonly Command[] {
  return [
    {
      name: 'cluster init',
      summary: 'form an etcd and a Docker Swarm of machines; run again, it goes on where it was',
      usage: 'NAME',
      arguments: {min: 1, max: 1},
      flags: [
        {name: 'machines', type: 'string', summary: 'one, three, five or seven machines: m1,m2,m3'},
        timeout,
      ],
      run: async (context, input) => {
        const runtime = open(context);
        const name = input.args[0] ?? '';
        checkClusterName(name);
        const record = await ensureRecord(runtime, name, machineList(flagString(input.flags, 'machines')));
        return bringUp(record, runtime, context, input);
      },
    },
    {
      name: 'cluster join',
      summary: 'add a machine to a cluster: etcd member (learner first) and Swarm manager',
      usage: 'NAME MACHINE',
      arguments: {min: 2, max: 2},
      flags: [timeout],
      run: async (context, input) => {
        const runtime = open(context);
        const [name = '', machine = ''] = input.args;
        const record = withMember(await existing(runtime, name), await runtime.machine(machine));
        await runtime.store.write(record);
        if (record.members.length % 2 === 0)
          context.warn(
            `${record.members.length} members survive the loss of no more than ${record.members.length - 1} do: join one more`,
          );
        return bringUp(record, runtime, context, input);
      },
    },
    {
      name: 'cluster status',
      summary: "show a cluster's members as they are now; exit code 1 unless all is well",
      usage: '[NAME]',
      arguments: {min: 0, max: 1},
      flags: [{name: 'output', type: 'string', default: 'text', summary: 'text or json'}],
      run: async (context, input) => {
        const runtime = open(context);
        const names = input.args.length === 0 ? await runtime.store.list() : input.args;
        const statuses = [];
        for (const name of names) statuses.push(await clusterStatus(await existing(runtime, name), runtime));
        if (flagString(input.flags, 'output') === 'json')
          context.print(JSON.stringify(statuses, undefined, 2));
        else for (const status of statuses) for (const line of renderStatus(status)) context.print(line);
        return statuses.every(status => status.well) ? 0 : 1;
      },
    },
  ];
}

async function bringUp(
  record: ClusterRecord,
  runtime: ClusterRuntime,
  context: CommandContext,
  input: CommandInput,
): Promise<number> {
  const timeoutSeconds = flagInteger(input.flags, 'timeout') ?? timeout.default;
  const {progress, signal} = context;
  const done = await reconcile(record, {runtime, progress, signal, timeoutSeconds});
  context.print(`${done.name}: ${done.members.map(({name}) => name).join(', ')}`);
  return 0;
}

/** The record that says who is meant; the one of an earlier run counts. */
async function ensureRecord(
  runtime: ClusterRuntime,
  name: string,
  machines: readonly string[],
): Promise<ClusterRecord> {
  const known = await runtime.store.read(name);
  if (known !== undefined && machines.length === 0) return known;
  const founders = await Promise.all(machines.map(machine => runtime.machine(machine)));
  const wanted = foundCluster(name, runtime.newToken(), founders);
  if (known === undefined && (await runtime.store.create(wanted))) return wanted;
  const record = known ?? (await existing(runtime, name));
  if (sameFounders(record, founders)) return record;
  throw new ClusterError('exists', `the cluster "${name}" was founded by other machines`, {
    remedy: `add a machine with hawser cluster join ${name} MACHINE`,
  });
}

async function existing(runtime: ClusterRuntime, name: string): Promise<ClusterRecord> {
  const record = await runtime.store.read(name);
  if (record !== undefined) return record;
  throw new ClusterError('no-such-cluster', `there is no cluster "${name}"`, {
    remedy: `make it with hawser cluster init ${name} --machines m1,m2,m3`,
  });
}

function machineList(text: string | undefined): string[] {
  if (text === undefined) return [];
  const names = text.split(',').map(name => name.trim());
  if (names.every(name => name !== '')) return names;
  throw new UsageError('bad-value', `--machines is "${text}"`, {remedy: 'give for instance m1,m2,m3'});
}
