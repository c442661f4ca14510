/** `fleet plan`, `apply` and `destroy`: the machines of a fleet file. */
import type {Command, Flag} from '../../services/common/command.ts';
import type {Tools} from './run.ts';

const outputFlag: Flag = {name: 'output', type: 'string', default: 'text', summary: 'text or json'};
const yesFlag: Flag = {name: 'yes', short: 'y', type: 'boolean', summary: 'do not ask'};
const parallelFlag: Flag = {
  name: 'parallel',
  type: 'integer',
  summary: "machines at the same time, for each driver; the driver's own limit when absent",
};

export function fleetFileCommands(tools: Tools): readonly Command[] {
  const one = {usage: 'FILE', arguments: {min: 1, max: 1}};
  const work = () => import('../fleet/work.ts');
  return [
    {
      name: 'fleet plan',
      summary: 'show what apply would do, and where machines are not as the file wants them',
      ...one,
      flags: [outputFlag],
      run: async (context, input) => (await work()).showPlan(tools, context, input),
    },
    {
      name: 'fleet apply',
      summary: 'make the machines of a fleet file',
      ...one,
      flags: [
        {
          name: 'replace',
          type: 'boolean',
          summary: 'also remove and make again what is not as the file wants it',
        },
        parallelFlag,
        yesFlag,
        outputFlag,
      ],
      run: async (context, input) => (await work()).applyFleet(tools, context, input),
    },
    {
      name: 'fleet destroy',
      summary: 'remove every machine of a fleet',
      ...one,
      flags: [parallelFlag, yesFlag, outputFlag],
      run: async (context, input) => (await work()).destroyFleet(tools, context, input),
    },
  ];
}
