/** Commands that look after a machine: provision, regenerate-certs, upgrade. */
import {flagBoolean, flagInteger} from '../../services/common/command.ts';
import type {Command, CommandContext, Flag} from '../../services/common/command.ts';
import {withStep} from '../../services/common/progress.ts';
import {provisionMachine, regenerateCertificates} from '../certificates.ts';
import type {MachineDeps} from '../machine.ts';
import {upgradeMachine} from '../upgrade.ts';
import {confirm} from './confirm.ts';
import {positive, wantsJson} from './create.ts';
import {namesOrDefault, onEach, openDeps} from './run.ts';
import type {Tools} from './run.ts';

const many = {usage: '[NAME...]', arguments: {min: 0, max: 1000}};

function waitFlag(seconds: number): Flag {
  return {name: 'timeout', type: 'integer', default: seconds, summary: 'seconds to wait for the machine'};
}

export function careCommands(tools: Tools): readonly Command[] {
  const onMachines = async (
    context: CommandContext,
    args: readonly string[],
    work: (deps: MachineDeps, name: string) => Promise<void>,
  ): Promise<number> => {
    const deps = await openDeps(tools, context);
    await onEach(context, await namesOrDefault(deps, args), name => work(deps, name));
    return 0;
  };
  return [
    {
      name: 'machine provision',
      summary: 'bring running machines to where create left them',
      ...many,
      flags: [waitFlag(600)],
      run: (context, {args, flags}) => {
        const seconds = positive('timeout', flagInteger(flags, 'timeout') ?? 600);
        return onMachines(context, args, (deps, name) =>
          provisionMachine(deps, name, seconds, context.progress),
        );
      },
    },
    {
      name: 'machine regenerate-certs',
      summary: 'give running machines new certificates; containers run on',
      ...many,
      flags: [
        {name: 'force', short: 'f', type: 'boolean', summary: 'do not ask'},
        {name: 'client-certs', type: 'boolean', summary: "also renew the operator's own certificate"},
        waitFlag(600),
      ],
      run: async (context, {args, flags}) => {
        const seconds = positive('timeout', flagInteger(flags, 'timeout') ?? 600);
        const question = 'Regenerate TLS machine certs?  Warning: this is irreversible. (y/n): ';
        if (!flagBoolean(flags, 'force') && !(await confirm(context, question, 'give -f'))) return 0;
        const client = flagBoolean(flags, 'client-certs');
        return onMachines(context, args, (deps, name) =>
          regenerateCertificates(deps, name, {client, seconds}, context.progress),
        );
      },
    },
    {
      name: 'machine upgrade',
      summary: "move machines to their channel's newest release",
      ...many,
      flags: [waitFlag(1800), {name: 'output', type: 'string', default: 'text', summary: 'text or json'}],
      run: (context, input) => {
        const json = wantsJson(input);
        const seconds = positive('timeout', flagInteger(input.flags, 'timeout') ?? 1800);
        return onMachines(context, input.args, async (deps, name) => {
          const {from, to} = await withStep(context.progress, `Upgrading "${name}"`, step =>
            upgradeMachine(deps, name, seconds, step),
          );
          if (json) context.print(JSON.stringify({name, from, to}));
          else
            context.print(from === to ? `${name} already runs ${to}` : `${name} runs ${to}, before ${from}`);
        });
      },
    },
  ];
}
