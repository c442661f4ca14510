/** The table of machine commands. */
import type {Command} from '../services/common/command.ts';
import {accessSteps} from './access.ts';
import {careCommands} from './commands/care.ts';
import {bundleCommands} from './commands/bundle.ts';
import {createCommand} from './commands/create.ts';
import {fleetFileCommands} from './commands/fleet.ts';
import {gcCommands} from './commands/gc.ts';
import {inspectCommands} from './commands/inspect.ts';
import {listCommand} from './commands/list.ts';
import {mountCommand} from './commands/mount.ts';
import {powerCommands} from './commands/power.ts';
import type {Tools} from './commands/run.ts';
import {publishCommand} from './commands/publish.ts';
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
    ...inspectCommands(complete),
    ...shellCommands(complete),
    mountCommand(complete),
    ...powerCommands(complete),
    ...careCommands(complete),
    ...gcCommands(complete),
    ...bundleCommands(complete),
    ...fleetFileCommands(complete),
    publishCommand(complete),
  ];
}
