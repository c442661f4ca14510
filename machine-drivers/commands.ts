/** The table of machine commands. */
import type {Command} from '../services/common/command.ts';
import {accessSteps} from './access.ts';
import {createCommand} from './commands/create.ts';
import {listCommand} from './commands/list.ts';
import {powerCommands} from './commands/power.ts';
import type {Tools} from './commands/run.ts';
import {shellCommands} from './commands/shell.ts';
import {showCommands} from './commands/show.ts';
import {drivers} from './registry.ts';

export type {Tools} from './commands/run.ts';

/** `runtime` opens what the commands need from outside; `registry` is the product's own drivers unless given. */
export function machineCommands(tools: Pick<Tools, 'runtime'> & Partial<Tools>): readonly Command[] {
  const complete: Tools = {registry: drivers, access: accessSteps, ...tools};
  return [
    createCommand(complete),
    listCommand(complete),
    ...showCommands(complete),
    ...shellCommands(complete),
    ...powerCommands(complete),
  ];
}
