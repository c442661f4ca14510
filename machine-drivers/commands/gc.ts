/** `machine gc` and `machine adopt`: what clouds have of this store and the store does not know. */
import {flagBoolean, flagInteger, flagString} from '../../services/common/command.ts';
import type {Command, CommandContext, CommandInput, Flag} from '../../services/common/command.ts';
import {withStep} from '../../services/common/progress.ts';
import {adoptMachines} from '../adopt.ts';
import type {Driver} from '../driver.ts';
import {MachineError} from '../errors.ts';
import {findStrays, removeStray} from '../gc.ts';
import type {MachineDeps} from '../machine.ts';
import {findDriver} from '../registry.ts';
import {confirm} from './confirm.ts';
import {wantsJson} from './create.ts';
import {openDeps} from './run.ts';
import type {Tools} from './run.ts';

const outputFlag: Flag = {name: 'output', type: 'string', default: 'text', summary: 'text or json'};

export function gcCommands(tools: Tools): readonly Command[] {
  const placeFlags = [
    {
      name: 'driver',
      short: 'd',
      type: 'string',
      summary: 'also look where this driver’s flags lead to',
    } satisfies Flag,
    ...tools.registry.flatMap(driver => driver.flags),
  ];
  return [
    {
      name: 'machine gc',
      summary: 'remove what clouds still have of machines that no record tells of',
      arguments: {min: 0, max: 0},
      flags: [
        {name: 'dry-run', type: 'boolean', summary: 'only say what there is'},
        {name: 'yes', short: 'y', type: 'boolean', summary: 'do not ask'},
        {name: 'older-than', type: 'integer', default: 10, summary: 'minutes since it was made'},
        outputFlag,
        ...placeFlags,
      ],
      run: (context, input) => collect(tools, context, input),
    },
    {
      name: 'machine adopt',
      summary: 'take machines of this store, found by their tags, into it again',
      usage: '[NAME...]',
      arguments: {min: 0, max: 1000},
      flags: [outputFlag, ...placeFlags],
      run: async (context, input) => {
        const json = wantsJson(input);
        const deps = await openDeps(tools, context);
        const place = await placeOf(deps, context, input);
        if (place === undefined)
          throw new MachineError('bad-setting', 'adopt needs --driver', {
            remedy: 'and the flags of its place',
          });
        const adopted = await adoptMachines(deps, place.driver, place.settings, input.args);
        if (json) context.print(JSON.stringify(adopted));
        else for (const name of adopted) context.print(name);
        return 0;
      },
    },
  ];
}

async function collect(tools: Tools, context: CommandContext, input: CommandInput): Promise<number> {
  const {flags} = input;
  const json = wantsJson(input);
  const deps = await openDeps(tools, context);
  const minutes = flagInteger(flags, 'older-than') ?? 10;
  const {strays, failed} = await findStrays(deps, minutes * 60_000, await placeOf(deps, context, input));
  for (const line of failed) context.warn(`hawser: not looked at: ${line}`);
  const lines = strays.map(
    ({driver, found}) => `${driver.name}  ${found.name}  ${found.uuid}  ${found.what}`,
  );
  if (!json) for (const line of lines) context.print(line);
  if (!flagBoolean(flags, 'dry-run') && strays.length > 0) {
    const question = `About to remove ${strays.length} of these.\nAre you sure? (y/n): `;
    if (!flagBoolean(flags, 'yes') && !(await confirm(context, question, 'give -y, or --dry-run'))) return 0;
    for (const stray of strays) {
      await withStep(context.progress, `Removing "${stray.found.name}"`, step =>
        removeStray(deps, stray, detail => step.update(detail)),
      );
    }
  }
  if (json) context.print(JSON.stringify(strays.map(({driver, found}) => ({driver: driver.name, ...found}))));
  return failed.length === 0 ? 0 : 1;
}

async function placeOf(
  deps: MachineDeps,
  context: CommandContext,
  input: CommandInput,
): Promise<{driver: Driver; settings: unknown} | undefined> {
  const name = flagString(input.flags, 'driver');
  if (name === undefined) return undefined;
  const driver = findDriver(deps.registry, name);
  const {paths} = deps.runtime;
  return {driver, settings: await driver.configure(input.flags, {cwd: context.cwd, paths, env: context.env})};
}
