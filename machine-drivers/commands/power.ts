/** Commands that change whether a machine runs or exists: start, stop, restart, kill, rm. */
import {flagBoolean, flagInteger} from '../../services/common/command.ts';
import type {Command, CommandContext, CommandInput, Flag} from '../../services/common/command.ts';
import {killMachine, removeMachine, restartMachine, startMachine, stopMachine} from '../lifecycle.ts';
import type {MachineDeps} from '../machine.ts';
import {confirm} from './confirm.ts';
import {positive, wantsJson} from './create.ts';
import {namesOrDefault, onEach, openDeps, outputFlag} from './run.ts';
import type {Tools} from './run.ts';

const waitFlag: Flag = {
  name: 'timeout',
  type: 'integer',
  env: 'HAWSER_TIMEOUT',
  default: 600,
  summary: 'seconds to wait for Docker',
};
const graceFlag: Flag = {
  name: 'grace',
  type: 'integer',
  default: 120,
  summary: 'seconds for a clean shutdown before the power is cut',
};

export function powerCommands(tools: Tools): readonly Command[] {
  const many = {usage: '[NAME...]', arguments: {min: 0, max: 1000}};
  const onMachines = async (
    context: CommandContext,
    input: CommandInput,
    work: (deps: MachineDeps, name: string) => Promise<void>,
  ): Promise<number> => {
    const json = wantsJson(input);
    const deps = await openDeps(tools, context);
    await onEach(context, await namesOrDefault(deps, input.args), name => work(deps, name), json);
    return 0;
  };
  return [
    {
      name: 'machine start',
      summary: 'start machines',
      ...many,
      flags: [waitFlag, outputFlag],
      run: (context, input) => {
        const {flags} = input;
        const seconds = positive('timeout', flagInteger(flags, 'timeout') ?? 600);
        return onMachines(context, input, (deps, name) =>
          startMachine(deps, name, seconds, context.progress),
        );
      },
    },
    {
      name: 'machine stop',
      summary: 'shut machines down',
      ...many,
      flags: [graceFlag, outputFlag],
      run: (context, input) => {
        const {flags} = input;
        const grace = positive('grace', flagInteger(flags, 'grace') ?? 120);
        return onMachines(context, input, (deps, name) => stopMachine(deps, name, grace, context.progress));
      },
    },
    {
      name: 'machine restart',
      summary: 'shut machines down and start them again',
      ...many,
      flags: [graceFlag, waitFlag, outputFlag],
      run: (context, input) => {
        const {flags} = input;
        const graceSeconds = positive('grace', flagInteger(flags, 'grace') ?? 120);
        const seconds = positive('timeout', flagInteger(flags, 'timeout') ?? 600);
        return onMachines(context, input, (deps, name) =>
          restartMachine(deps, name, {graceSeconds, seconds}, context.progress),
        );
      },
    },
    {
      name: 'machine kill',
      summary: 'cut the power of machines',
      ...many,
      flags: [outputFlag],
      run: (context, input) =>
        onMachines(context, input, (deps, name) => killMachine(deps, name, context.progress)),
    },
    {
      name: 'machine rm',
      summary: 'remove machines and everything made for them',
      usage: 'NAME [NAME...]',
      arguments: {min: 1, max: 1000},
      flags: [
        {
          name: 'force',
          short: 'f',
          type: 'boolean',
          summary: 'remove the local files whatever happens, and do not ask',
        },
        {name: 'yes', short: 'y', type: 'boolean', summary: 'do not ask'},
        outputFlag,
      ],
      run: async (context, input) => {
        const {args, flags} = input;
        const force = flagBoolean(flags, 'force');
        const sure = force || flagBoolean(flags, 'yes');
        if (!sure && !(await confirm(context, removalQuestion(args), 'give -y'))) return 0;
        return onMachines(context, input, (deps, name) =>
          removeMachine(deps, name, force, {progress: context.progress, warn: line => context.warn(line)}),
        );
      },
    },
  ];
}

function removalQuestion(names: readonly string[]): string {
  return [
    `About to remove ${names.join(', ')}`,
    'WARNING: This action will delete both local reference and remote instance.',
    'Are you sure? (y/n): ',
  ].join('\n');
}
