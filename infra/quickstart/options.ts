/** The options of the quickstart. */
import {parseArgs} from 'node:util';

export interface QuickstartOptions {
  readonly machines: number;
  /** Remove everything at the end. */
  readonly once: boolean;
  /** Leave out the cluster and the rolling update. */
  readonly machinesOnly: boolean;
  /** Where the measurements go, as JSON. */
  readonly report: string | undefined;
}

export const usage = 'usage: npm run quickstart -- [--machines N] [--once] [--machines-only] [--report FILE]';

/** Throws an Error whose message is fit to print. */
export function parseOptions(argv: readonly string[]): QuickstartOptions {
  const {values} = parseArgs({
    args: [...argv],
    options: {
      machines: {type: 'string', default: '3'},
      once: {type: 'boolean', default: false},
      'machines-only': {type: 'boolean', default: false},
      report: {type: 'string'},
    },
  });
  const machines = Number(values.machines);
  if (!Number.isInteger(machines) || machines < 1 || machines > 20) {
    throw new Error(`--machines ${values.machines}: give a number from 1 to 20`);
  }
  return {machines, once: values.once, machinesOnly: values['machines-only'], report: values.report};
}
