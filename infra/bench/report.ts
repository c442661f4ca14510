/** From what was measured to the lines of the table and to JSON. Pure. */
import type {BootFigures, Point, Round} from './boot.ts';
import {median, ratio} from './statistics.ts';

export interface ImageSizes {
  /** The whole disk through zstd. */
  readonly compressed: number;
  readonly usr: number;
  /** Kernel and initrd, as they lie on the disk. */
  readonly kernel: number;
}

export interface ImageResult {
  readonly rounds: readonly Round[];
  readonly sizes: ImageSizes | undefined;
}

export interface Results {
  readonly hawser: ImageResult;
  readonly debian: ImageResult;
  readonly rebuildSeconds: number | undefined;
  readonly coldBuildSeconds: number | undefined;
  readonly helpSeconds: readonly number[];
}

export interface Row {
  readonly what: string;
  readonly unit: string;
  readonly hawser: number | undefined;
  readonly debian: number | undefined;
  /** Hawser / Debian. */
  readonly ratio: number | undefined;
}

/** Every figure that both images have. */
export function rows(results: Results): Row[] {
  const {hawser, debian} = results;
  const both = (what: string, unit: string, of: (image: ImageResult) => number | undefined): Row => {
    const [ours, theirs] = [of(hawser), of(debian)];
    return {what, unit, hawser: ours, debian: theirs, ratio: ratio(ours, theirs)};
  };
  const rounds = (what: string, unit: string, of: (round: Round) => number) =>
    both(what, unit, image => median(image.rounds.map(of)));
  const point = (title: string, of: (round: Round) => Point) => [
    rounds(title, 'CPU s', round => of(round).cpuSeconds),
    rounds(title, 'wall s', round => of(round).wallSeconds),
  ];
  const boot = (title: string, of: (round: Round) => BootFigures) => [
    ...point(`${title}: SSH banner`, round => of(round).banner),
    ...point(`${title}: Docker answers`, round => of(round).docker),
  ];
  const size = (what: string, name: keyof ImageSizes) =>
    both(what, 'MB', image => (image.sizes === undefined ? undefined : image.sizes[name] / 1e6));
  return [
    ...boot('first boot', round => round.first),
    ...boot('second boot', round => round.second),
    rounds('at rest: memory in use', 'MiB', ({idle}) => idle.usedKiB / 1024),
    rounds('at rest: sum of PSS', 'MiB', ({idle}) => idle.pssKiB / 1024),
    rounds('at rest: processes', '', ({idle}) => idle.processes),
    rounds('at rest: context switches', '/s', ({idle}) => idle.contextSwitches / idle.windowSeconds),
    rounds('at rest: interrupts', '/s', ({idle}) => idle.interrupts / idle.windowSeconds),
    rounds('at rest: emulator', 'CPU s/min', ({idle}) => (idle.cpuSeconds * 60) / idle.windowSeconds),
    rounds('services started', '', ({idle}) => idle.servicesStarted),
    rounds('units active', '', ({idle}) => idle.unitsActive),
    size('disk, compressed', 'compressed'),
    size('/usr', 'usr'),
    size('kernel and initrd', 'kernel'),
  ];
}

/** The table and, below it, what only Hawser has. */
export function renderTable(results: Results): string[] {
  const lines = rows(results).filter(row => row.hawser !== undefined || row.debian !== undefined);
  const width = Math.max(10, ...lines.map(({what, unit}) => `${what}, ${unit}`.length));
  const cells = (what: string, values: readonly string[]) =>
    `${what.padEnd(width)}  ${values.map(value => value.padStart(9)).join('  ')}`;
  const table =
    lines.length === 0
      ? []
      : [
          cells('', ['Hawser', 'Debian', 'ratio']),
          ...lines.map(({what, unit, hawser, debian, ratio}) =>
            cells(unit === '' ? what : `${what}, ${unit}`, [
              show(hawser),
              show(debian),
              ratio?.toFixed(2) ?? '-',
            ]),
          ),
        ];
  const own: [string, number | undefined][] = [
    ['build after a change to an agent, s', results.rebuildSeconds],
    ['build from nothing, s', results.coldBuildSeconds],
    ['hawser --help, s', median(results.helpSeconds)],
  ];
  const known = own.filter(([, value]) => value !== undefined);
  return [...table, ...known.map(([what, value]) => cells(what, [value?.toFixed(2) ?? '-']))];
}

function show(value: number | undefined): string {
  return value === undefined ? '-' : value.toFixed(value < 1000 ? 1 : 0);
}
