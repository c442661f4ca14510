/** What is to be done so that the machines are as the fleet file wants them. Pure. */
import type {MachineState} from '../driver.ts';

/** A machine that is to be, with its settings as they would be stored. */
export interface Target {
  readonly name: string;
  readonly group: string;
  readonly driver: string;
  readonly settings: unknown;
  readonly labels: Readonly<Record<string, string>>;
}

/** A machine of the store. */
export interface Present {
  readonly name: string;
  readonly driver: string;
  readonly settings: unknown;
  readonly labels: Readonly<Record<string, string>>;
  readonly finished: boolean;
  readonly state: MachineState;
}

/**
 * `finish`: its creation was cut short. `replace`: it is there and not as the file wants it (`why`); only done when
 * that is asked for, since what is on it is lost. `taken`: the name is another machine's.
 */
export type Action =
  | {readonly kind: 'keep' | 'create' | 'finish' | 'start'; readonly name: string; readonly driver: string}
  | {
      readonly kind: 'replace';
      readonly name: string;
      readonly driver: string;
      readonly why: readonly string[];
    }
  | {readonly kind: 'remove' | 'taken'; readonly name: string; readonly driver: string};

/** In the file's order, then what is not in the file. `isOurs` tells whether a machine is of this fleet. */
export function planFleet(
  targets: readonly Target[],
  present: readonly Present[],
  isOurs: (machine: Present) => boolean,
): readonly Action[] {
  const byName = new Map(present.map(machine => [machine.name, machine]));
  const wanted = new Set(targets.map(target => target.name));
  return [
    ...targets.map(target => actionFor(target, byName.get(target.name), isOurs)),
    ...present
      .filter(machine => isOurs(machine) && !wanted.has(machine.name))
      .map(({name, driver}): Action => ({kind: 'remove', name, driver})),
  ];
}

function actionFor(
  target: Target,
  machine: Present | undefined,
  isOurs: (machine: Present) => boolean,
): Action {
  const {name, driver} = target;
  if (machine === undefined) return {kind: 'create', name, driver};
  if (!isOurs(machine)) return {kind: 'taken', name, driver: machine.driver};
  const why = drift(target, machine);
  if (why.length > 0) return {kind: 'replace', name, driver, why};
  if (!machine.finished) return {kind: 'finish', name, driver};
  return {kind: machine.state === 'Stopped' || machine.state === 'Saved' ? 'start' : 'keep', name, driver};
}

/** Where a machine is not as it should be, a line each: `memoryMiB: 1024 instead of 2048`. */
function drift(target: Target, machine: Present): string[] {
  if (machine.state === 'None') return ['it is gone'];
  if (machine.driver !== target.driver) return [`driver: ${machine.driver} instead of ${target.driver}`];
  return [
    ...differences('', machine.settings, target.settings),
    ...differences('label ', machine.labels, target.labels),
  ];
}

function differences(prefix: string, is: unknown, wanted: unknown): string[] {
  const [a, b] = [asRecord(is), asRecord(wanted)];
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
  return names
    .filter(name => stable(a[name]) !== stable(b[name]))
    .map(name => `${prefix}${name}: ${stable(a[name])} instead of ${stable(b[name])}`);
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? {...value} : {};
}

/** JSON whose keys are in order. */
function stable(value: unknown): string {
  if (value === undefined) return 'nothing';
  return JSON.stringify(value, (_, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );
}
