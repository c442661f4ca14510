/** `machine ls`: one row a machine, observed with a time limit, rendered as docker-machine does. */
import {describeError} from '../services/common/errors.ts';
import {dockerVersion} from './docker/api.ts';
import type {MachineState} from './driver.ts';
import {driverOf, viewOf} from './machine.ts';
import type {MachineDeps} from './machine.ts';
import type {StoredMachine} from './store/store.ts';

export interface Row {
  readonly name: string;
  readonly active: boolean;
  readonly driver: string;
  readonly state: MachineState;
  readonly url: string;
  readonly docker: string;
  readonly error: string;
}

/** Observes every machine at the same time; a slow one ends as `Timeout` after `timeoutMs`. */
export async function observeAll(
  deps: MachineDeps,
  names: readonly string[],
  dockerHost: string | undefined,
  timeoutMs: number,
): Promise<Row[]> {
  return Promise.all(names.map(name => observeOne(deps, name, dockerHost, timeoutMs)));
}

async function observeOne(
  deps: MachineDeps,
  name: string,
  dockerHost: string | undefined,
  timeoutMs: number,
): Promise<Row> {
  const blank = {name, active: false, driver: '', url: '', docker: 'Unknown', error: ''};
  let stored: StoredMachine | undefined;
  try {
    stored = await deps.store.load(name);
    if (stored === undefined) return {...blank, state: 'Error', error: 'not found'};
    const driver = driverOf(deps.registry, stored);
    const view = viewOf(stored);
    const state = await limited(driver.observe(view), timeoutMs);
    const known = {...blank, driver: driver.name};
    if (state === undefined)
      return {...known, state: 'Timeout', error: `no answer within ${timeoutMs / 1000} s`};
    const endpoint = driver.endpoint(view);
    const unfinished = stored.ledger.finished ? '' : `not finished: hawser machine create ${name}`;
    if (state !== 'Running' || endpoint === undefined) return {...known, state, error: unfinished};
    const {docker} = endpoint;
    const url = `tcp://${docker.host}:${docker.port}`;
    const running = {...known, state, url, active: url === dockerHost};
    if (unfinished !== '') return {...running, error: unfinished};
    const target = {address: docker, uuid: stored.record.uuid, folder: stored.folder};
    try {
      return {...running, docker: `v${await dockerVersion(target, timeoutMs, deps.signal)}`};
    } catch (error) {
      return {...running, error: `Docker: ${describeError(error)}`};
    }
  } catch (error) {
    return {...blank, driver: stored?.record.driver ?? '', state: 'Error', error: describeError(error)};
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

const header = ['NAME', 'ACTIVE', 'DRIVER', 'STATE', 'URL', 'SWARM', 'DOCKER', 'ERRORS'] as const;

/** The table, with docker-machine's columns; SWARM stays empty, its standalone Swarm is gone. */
export function renderTable(rows: readonly Row[]): string[] {
  const cells = rows.map(row => [
    row.name,
    row.active ? '*' : '-',
    row.driver,
    row.state,
    row.url,
    '',
    row.docker,
    row.error.replaceAll(/\s*\n\s*/g, ' '),
  ]);
  const table: ReadonlyArray<readonly string[]> = [header, ...cells];
  const widths = header.map((_, column) => Math.max(...table.map(line => line[column]?.length ?? 0)));
  return table.map(line =>
    line
      .map((cell, column) => cell.padEnd((widths[column] ?? 0) + 3))
      .join('')
      .trimEnd(),
  );
}

export interface Filter {
  readonly key: 'name' | 'driver' | 'state';
  readonly value: string;
}

/** docker-machine: alternatives within a key, all keys together; a name is a regular expression. */
export function matches(row: Pick<Row, 'name' | 'driver' | 'state'>, filters: readonly Filter[]): boolean {
  for (const key of ['name', 'driver', 'state'] as const) {
    const wanted = filters.filter(filter => filter.key === key);
    if (wanted.length > 0 && !wanted.some(filter => matchesOne(row, filter))) return false;
  }
  return true;
}

function matchesOne(row: Pick<Row, 'name' | 'driver' | 'state'>, filter: Filter): boolean {
  if (filter.key === 'name') return new RegExp(filter.value).test(row.name);
  return row[filter.key].toLowerCase() === filter.value.toLowerCase();
}
