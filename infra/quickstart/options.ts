/** The options of the quickstart. */
import {parseArgs} from 'node:util';

export interface QuickstartOptions {
  readonly machines: number;
  /** Remove everything at the end. */
  readonly once: boolean;
  /** Also makes a cluster of the machines and moves them to a second release under load. */
  readonly rolling: boolean;
  /** Where the measurements go, as JSON. */
  readonly report: string | undefined;
}

/** A cluster of fewer cannot lose one and go on. */
const LEAST_FOR_ROLLING = 3;

export const usage = 'usage: npm run quickstart -- [--machines N] [--once] [--rolling] [--report FILE]';

/** Throws an Error whose message is fit to print. */
export function parseOptions(argv: readonly string[]): QuickstartOptions {
  const {values} = parseArgs({
    args: [...argv],
    options: {
      machines: {type: 'string', default: '3'},
      once: {type: 'boolean', default: false},
      rolling: {type: 'boolean', default: false},
      report: {type: 'string'},
    },
  });
  const machines = Number(values.machines);
  if (!Number.isInteger(machines) || machines < 1 || machines > 20) {
    throw new Error(`--machines ${values.machines}: give a number from 1 to 20`);
  }
  if (values.rolling && machines < LEAST_FOR_ROLLING) {
    throw new Error(`--rolling needs ${LEAST_FOR_ROLLING} machines, so that two remain: give --machines 3`);
  }
  return {machines, once: values.once, rolling: values.rolling, report: values.report};
}
