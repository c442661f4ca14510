/** `machine export` and `machine import`. */
import {resolve} from 'node:path';
import type {Command} from '../../services/common/command.ts';
import {openDeps} from './run.ts';
import type {Tools} from './run.ts';

export function bundleCommands(tools: Tools): readonly Command[] {
  return [
    {
      name: 'machine export',
      summary: 'write machines of clouds, with their keys, into a file for another computer',
      usage: 'FILE NAME [NAME...]',
      arguments: {min: 2, max: 1001},
      flags: [],
      run: async (context, {args}) => {
        const [file = '', ...names] = args;
        const {exportMachines} = await import('../bundle.ts');
        await exportMachines(await openDeps(tools, context), [...new Set(names)], resolve(context.cwd, file));
        return 0;
      },
    },
    {
      name: 'machine import',
      summary: 'take over the machines that another computer exported',
      usage: 'FILE',
      arguments: {min: 1, max: 1},
      flags: [],
      run: async (context, {args: [file = '']}) => {
        const {importMachines} = await import('../bundle.ts');
        for (const name of await importMachines(await openDeps(tools, context), resolve(context.cwd, file)))
          context.print(name);
        return 0;
      },
    },
  ];
}
