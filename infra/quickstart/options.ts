/** The options of the quickstart. */
import {parseArgs} from 'node:util';

/**
 * `machines`: they run containers, and that is all. `update`: they also become a cluster behind one address and move to
 * a second release under load. `bad-release`: releases that are no good take that one's place.
 */
export type Demonstration = 'machines' | 'update' | 'bad-release';

export interface QuickstartOptions {
  readonly machines: number;
  /** Remove everything at the end. */
  readonly once: boolean;
  readonly demonstration: Demonstration;
  /** Where the measurements go, as JSON. */
  readonly report: string | undefined;
}

/** A cluster of fewer cannot lose one and go on. */
const LEAST_FOR_UPDATE = 3;

export const usage =
  'usage: npm run quickstart -- [--machines N] [--once] [--rolling | --bad-release] [--report FILE]';

/** Throws an Error whose message is fit to print. */
export function parseOptions(argv: readonly string[]): QuickstartOptions {
  const {values} = parseArgs({
    args: [...argv],
    options: {
      machines: {type: 'string', default: '3'},
      once: {type: 'boolean', default: false},
      rolling: {type: 'boolean', default: false},
      'bad-release': {type: 'boolean', default: false},
      report: {type: 'string'},
    },
  });
  const machines = Number(values.machines);
  if (!Number.isInteger(machines) || machines < 1 || machines > 20) {
    throw new Error(`--machines ${values.machines}: give a number from 1 to 20`);
  }
  const {rolling, 'bad-release': badRelease} = values;
  if (rolling && badRelease) {
    throw new Error('--rolling and --bad-release exclude each other: give one of them');
  }
  if ((rolling || badRelease) && machines < LEAST_FOR_UPDATE) {
    const which = rolling ? '--rolling' : '--bad-release';
    throw new Error(`${which} needs ${LEAST_FOR_UPDATE} machines, so that two remain: give --machines 3`);
  }
  return {
    machines,
    once: values.once,
    demonstration: badRelease ? 'bad-release' : rolling ? 'update' : 'machines',
    report: values.report,
  };
}
