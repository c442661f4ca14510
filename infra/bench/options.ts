/** The options of the benchmark. */
import {parseArgs} from 'node:util';

export const parts = [
  'boot',
  'size',
  'build',
  'command',
  'bytes',
  'apply',
  'lock',
  'machines',
  'polls',
  'rollout',
] as const;
/** `bytes` and `apply` need two images to be named, so they are not among what runs by itself. */
const usual = 'boot,size,build,command,lock,machines,polls,rollout';
export type Part = (typeof parts)[number];

export interface BenchOptions {
  /** How often each image is booted; every round has a first and a second boot of one disk. */
  readonly boots: number;
  readonly parts: readonly Part[];
  /** Also build from nothing, which fetches all packages again. */
  readonly cold: boolean;
  /** For `bytes` and `apply`: folders of the image before the update and of the one after it. */
  readonly pair: {readonly from: string; readonly to: string} | undefined;
  /** Also the floor of `bytes`, which takes half an hour of one core. */
  readonly floor: boolean;
  /** Folder of a built image; the current one when absent. */
  readonly image: string | undefined;
  readonly json: string | undefined;
  /** After this many minutes everything is ended and what was measured is printed. */
  readonly minutes: number;
}

export const usage =
  'usage: npm run bench -- [--boots N] [--only boot,size,build,command,bytes,apply,lock,machines,polls,rollout] [--cold] [--image FOLDER] [--pair OLD,NEW] [--floor] [--json FILE] [--minutes N]';

/** Throws an Error whose message is fit to print. */
export function parseOptions(argv: readonly string[]): BenchOptions {
  const {values} = parseArgs({
    args: [...argv],
    options: {
      boots: {type: 'string', default: '3'},
      only: {type: 'string', default: usual},
      cold: {type: 'boolean', default: false},
      image: {type: 'string'},
      pair: {type: 'string'},
      floor: {type: 'boolean', default: false},
      json: {type: 'string'},
      minutes: {type: 'string', default: '90'},
    },
  });
  const wanted = values.only.split(',');
  const unknown = wanted.find(name => !parts.some(part => part === name));
  if (unknown !== undefined) throw new Error(`--only ${unknown}: choose from ${parts.join(', ')}`);
  const [from, to] = (values.pair ?? '').split(',');
  const pair = from === undefined || from === '' || to === undefined ? undefined : {from, to};
  if (pair === undefined && (wanted.includes('bytes') || wanted.includes('apply')))
    throw new Error('--only bytes and --only apply need --pair OLD,NEW: folders of two images');
  return {
    pair,
    floor: values.floor,
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
