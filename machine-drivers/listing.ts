/** `machine ls`: one row a machine, observed with a time limit; format/listing.ts shows it. */
import {describeError} from '../services/common/errors.ts';
import {dockerVersion} from './docker/api.ts';
import {tcpUrl} from './docker/url.ts';
import type {Driver, MachineState} from './driver.ts';
import {driverContext, driverOf, viewOf} from './machine.ts';
import type {MachineDeps} from './machine.ts';
import {observeTogether} from './observation.ts';
import type {Observed} from './observation.ts';
import type {StoredMachine} from './store/store.ts';

export interface Row {
  readonly name: string;
  readonly active: boolean;
  readonly driver: string;
  readonly state: MachineState;
  readonly url: string;
  readonly docker: string;
  readonly error: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds until the whole answer was there. */
  readonly responseMs: number;
}

type Known = StoredMachine & {readonly driver: Driver};

/** Observes machines together, one call a place; what does not answer within `timeoutMs` is `Timeout`. Then asks each Docker for its version. */
export async function observeAll(
  deps: MachineDeps,
  names: readonly string[],
  dockerHost: string | undefined,
  timeoutMs: number,
  ask: {readonly docker: boolean} = {docker: true},
): Promise<Row[]> {
  const loaded = await Promise.all(names.map(name => loadKnown(deps, name)));
  const known = loaded.filter(one => 'record' in one);
  const answers = observeTogether(
    known.map(one => ({driver: one.driver, machine: viewOf(one)})),
    await driverContext(deps),
  );
  return Promise.all(
    loaded.map(async one => {
      if (!('record' in one)) return one;
      const answer = answers.get(one.record.uuid);
      if (answer === undefined) return unreadable(one.record.name, 'not found');
      const from = performance.now();
      const row = await rowOf(deps, one, answer, {dockerHost, timeoutMs, ask});
      return {...row, responseMs: Math.round(performance.now() - from)};
    }),
  );
}

/** The machine, or the row that says why there is none. */
async function loadKnown(deps: MachineDeps, name: string): Promise<Known | Row> {
  let driver = '';
  try {
    const stored = await deps.store.load(name);
    if (stored === undefined) return unreadable(name, 'not found');
    driver = stored.record.driver;
    return {...stored, driver: driverOf(deps.registry, stored)};
  } catch (error) {
    return {...unreadable(name, describeError(error)), driver};
  }
}

function unreadable(name: string, error: string): Row {
  return {
    name,
    active: false,
    driver: '',
    state: 'Error',
    url: '',
    docker: 'Unknown',
    error,
    labels: {},
    responseMs: 0,
  };
}

interface Asking {
  readonly dockerHost: string | undefined;
  readonly timeoutMs: number;
  readonly ask: {readonly docker: boolean};
}

async function rowOf(
  deps: MachineDeps,
  {record, ledger, folder, driver}: Known,
  answer: Promise<Observed>,
  {dockerHost, timeoutMs, ask}: Asking,
): Promise<Row> {
  const blank = {
    ...unreadable(record.name, ''),
    driver: driver.name,
    labels: record.labels ?? {},
  };
  try {
    const seen = await limited(answer, timeoutMs);
    if (seen === undefined)
      return {...blank, state: 'Timeout', error: `no answer within ${timeoutMs / 1000} s`};
    const {state, endpoint} = seen;
    const unfinished = ledger.finished ? '' : `not finished: hawser machine create ${record.name}`;
    const known = {...blank, state, error: unfinished === '' ? (seen.detail ?? '') : unfinished};
    if (state !== 'Running' || endpoint === undefined) return known;
    const {docker} = endpoint;
    const url = tcpUrl(docker);
    const running = {...known, url, active: url === dockerHost};
    if (unfinished !== '' || !ask.docker) return running;
    try {
      const version = await dockerVersion(
        {address: docker, uuid: record.uuid, folder},
        timeoutMs,
        deps.signal,
      );
      return {...running, docker: `v${version}`};
    } catch (error) {
      return {...running, error: `Docker: ${describeError(error)}`};
    }
  } catch (error) {
    return {...blank, error: describeError(error)};
  }
}

async function limited<Result>(work: Promise<Result>, timeoutMs: number): Promise<Result | undefined> {
  const limit = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => limit.resolve(undefined), timeoutMs);
  try {
    return await Promise.race([work, limit.promise]);
  } finally {
    clearTimeout(timer);
  }
}

export const filterKeys = ['name', 'driver', 'state', 'label', 'swarm'] as const;

export interface Filter {
  readonly key: (typeof filterKeys)[number];
  readonly value: string;
}

type Filtered = Pick<Row, 'name' | 'driver' | 'state' | 'labels'>;

/** docker-machine: alternatives within a key, all keys together; a name is a regular expression. */
export function matches(row: Filtered, filters: readonly Filter[]): boolean {
  return filterKeys.every(key => {
    const wanted = filters.filter(filter => filter.key === key);
    return wanted.length === 0 || wanted.some(filter => matchesOne(row, filter));
  });
}

function matchesOne(row: Filtered, {key, value}: Filter): boolean {
  if (key === 'name') return new RegExp(value).test(row.name);
  // No machine belongs to a standalone Swarm any more.
  if (key === 'swarm') return false;
  if (key !== 'label') return row[key].toLowerCase() === value.toLowerCase();
  const [name = '', wanted] = value.split('=', 2);
  return wanted === undefined ? Object.hasOwn(row.labels, name) : row.labels[name] === wanted;
}
