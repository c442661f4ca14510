/** The options of the benchmark. */
import {parseArgs} from 'node:util';

export const parts = ['boot', 'size', 'build', 'command'] as const;
export type Part = (typeof parts)[number];

export interface BenchOptions {
  /** How often each image is booted; every round has a first and a second boot of one disk. */
  readonly boots: number;
  readonly parts: readonly Part[];
  /** Also build from nothing, which fetches all packages again. */
  readonly cold: boolean;
  /** Folder of a built image; the current one when absent. */
  readonly image: string | undefined;
  readonly json: string | undefined;
  /** After this many minutes everything is ended and what was measured is printed. */
  readonly minutes: number;
}

export const usage =
  'usage: npm run bench -- [--boots N] [--only boot,size,build,command] [--cold] [--image FOLDER] [--json FILE] [--minutes N]';

/** Throws an Error whose message is fit to print. */
export function parseOptions(argv: readonly string[]): BenchOptions {
  const {values} = parseArgs({
    args: [...argv],
    options: {
      boots: {type: 'string', default: '3'},
      only: {type: 'string', default: parts.join(',')},
      cold: {type: 'boolean', default: false},
      image: {type: 'string'},
      json: {type: 'string'},
      minutes: {type: 'string', default: '90'},
    },
  });
  const wanted = values.only.split(',');
  const unknown = wanted.find(name => !parts.some(part => part === name));
  if (unknown !== undefined) throw new Error(`--only ${unknown}: choose from ${parts.join(', ')}`);
  return {
    boots: wholeNumber('--boots', values.boots, 20),
    parts: parts.filter(part => wanted.includes(part)),
    cold: values.cold,
    image: values.image,
    json: values.json,
    minutes: wholeNumber('--minutes', values.minutes, 600),
  };
}

function wholeNumber(flag: string, text: string, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most) {
    throw new Error(`${flag} ${text}: give a number from 1 to ${most}`);
  }
  return value;
}
