/** Commands that go onto a machine: ssh, scp. */
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {flagBoolean} from '../../services/common/command.ts';
import type {Command, CommandContext} from '../../services/common/command.ts';
import {ExecError, exec} from '../../services/common/exec.ts';
import {MachineError} from '../errors.ts';
import type {MachineDeps} from '../machine.ts';
import {namesOrDefault, openDeps, runningMachine} from './run.ts';
import type {Tools} from './run.ts';
import {sshArguments, sshConfigBlock} from '../ssh/connection.ts';
import type {SshTarget} from '../ssh/connection.ts';
import {parseCopyPlace} from '../ssh/copy-place.ts';

/** The longest that a timer can wait: a session lasts as long as its user wants. */
const NO_LIMIT_MS = 2 ** 31 - 1;
/** ssh's own exit code for a connection that failed; also given when a signal ended it. */
const SSH_FAILED = 255;

export function shellCommands(tools: Tools): readonly Command[] {
  return [
    {
      name: 'machine ssh',
      summary: 'log in to a machine, or run a command there; its exit code is passed on',
      usage: '[NAME [COMMAND...]]',
      arguments: {min: 0, max: 1000},
      passThrough: true,
      flags: [{name: 'tty', short: 't', type: 'boolean', summary: 'give the command a terminal'}],
      run: async (context, input) => {
        const deps = await openDeps(tools, context);
        const [name = ''] = await namesOrDefault(deps, input.args.slice(0, 1));
        const target = await targetOf(deps, name);
        const command = input.args.slice(1);
        const tty = flagBoolean(input.flags, 'tty');
        return lendTerminal(context, [
          ...sshArguments(target, {proven: true, batch: !context.interactive, tty}),
          ...(command.length === 0 ? [] : ['--', ...command]),
        ]);
      },
    },
    {
      name: 'machine scp',
      summary: 'copy files to, from and between machines',
      usage: '[[USER@]NAME:]PATH [[USER@]NAME:]PATH',
      arguments: {min: 2, max: 2},
      flags: [
        {name: 'recursive', short: 'r', type: 'boolean', summary: 'copy folders'},
        {name: 'quiet', short: 'q', type: 'boolean', summary: 'show no progress'},
      ],
      run: async (context, input) => {
        const deps = await openDeps(tools, context);
        const places = input.args.map(parseCopyPlace);
        const folder = await mkdtemp(join(tmpdir(), 'hawser-scp-'));
        try {
          const config = join(folder, 'config');
          const machines = new Set(
            places.flatMap(place => (place.machine === undefined ? [] : [place.machine])),
          );
          const blocks: string[] = [];
          for (const name of machines) blocks.push(sshConfigBlock(name, await targetOf(deps, name)));
          await writeFile(config, blocks.join('\n'), {mode: 0o600});
          const options = [
            ...(flagBoolean(input.flags, 'recursive') ? ['-r'] : []),
            ...(flagBoolean(input.flags, 'quiet') ? ['-q'] : []),
          ];
          return await lendTerminal(context, [
            'scp',
            '-F',
            config,
            '-3',
            ...options,
            '--',
            ...places.map(place => place.argument),
          ]);
        } finally {
          await rm(folder, {recursive: true, force: true});
        }
      },
    },
  ];
}

/** Where a running machine is logged in to, its host key proven. Throws `unfinished` while it is not. */
export async function targetOf(deps: MachineDeps, name: string): Promise<SshTarget> {
  const {stored, endpoint} = await runningMachine(deps, name);
  const {record, folder, ledger} = stored;
  if (!ledger.done.has('enrol')) {
    throw new MachineError('unfinished', `the host key of "${name}" is not proven yet`, {
      remedy: `finish it with hawser machine create ${name}`,
    });
  }
  return {address: endpoint.ssh, user: record.user, hostKeyAlias: record.uuid, folder};
}

/** Runs a program on the operator's terminal and returns its exit code. */
async function lendTerminal(context: CommandContext, argv: readonly string[]): Promise<number> {
  try {
    await exec(argv, {timeoutMs: NO_LIMIT_MS, signal: context.signal, stdio: 'inherit'});
    return 0;
  } catch (error) {
    if (error instanceof ExecError && error.code === 'failed') return error.result.code ?? SSH_FAILED;
    throw error;
  }
}
