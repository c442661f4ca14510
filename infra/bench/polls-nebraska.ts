/**
 * The other side of polls.ts: Nebraska, built from the Go module proxy, on Debian's PostgreSQL. Its last version under
 * the path by which the proxy has it; the machines are of the application and group that its own migrations make.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {access, chown, mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {exec} from '../../services/common/exec.ts';
import {freePort} from '../../test/support/ports.ts';
import {BenchError} from './errors.ts';
import {silentSeconds, type PolledServer} from './polls-server-kind.ts';
import {treeCpuSeconds} from './process-cpu.ts';

const nebraska = 'github.com/kinvolk/nebraska/backend/cmd/nebraska';
const version = 'v0.0.0-20240119112525-4d44da4b6b2e';
const application = 'e96281a6-d1af-4bde-9a0a-97b76e56dc57';
/** Of the group `stable`, as its migrations make it: the release that all machines run here. */
const current = '2191.5.0';
const BUILD_MS = 900_000;
const SEED_MS = 120_000;

export interface NebraskaWish {
  readonly machines: number;
  /** Where the program is kept. */
  readonly cache: string;
  readonly pinned: readonly string[];
  readonly signal: AbortSignal;
}

/** Throws `missing-tool` where Go or PostgreSQL is not installed, or the program cannot be built. */
export async function startNebraska({machines, cache, pinned, signal}: NebraskaWish): Promise<PolledServer> {
  const program = await build(join(cache, 'bench', 'nebraska', version), signal);
  const bin = await postgresBin();
  const folder = await mkdtemp(join(tmpdir(), 'hawser-postgres-'));
  const started: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const each of started.toReversed()) {
      if (each.exitCode !== null || each.signalCode !== null) continue;
      const ended = once(each, 'exit');
      each.kill('SIGINT'); // PostgreSQL: close connections and end
      const hard = setTimeout(() => each.kill('SIGKILL'), 20_000);
      await ended;
      clearTimeout(hard);
    }
    await rm(folder, {recursive: true, force: true});
  };
  const start = (argv: readonly string[], env: Record<string, string> = {}): ChildProcess => {
    const [name = '', ...args] = [...pinned, ...argv];
    const child = spawn(name, args, {stdio: 'ignore', cwd: folder, env: {...process.env, ...env}});
    started.push(child);
    return child;
  };
  try {
    const [databasePort, port] = [await freePort(), await freePort()];
    const database = await startPostgres({bin, folder, port: databasePort, start, signal});
    const url = `postgres://postgres@127.0.0.1:${databasePort}/nebraska?sslmode=disable`;
    const server = start([program, '-auth-mode=noop', '-port', String(port)], {NEBRASKA_DB_URL: url});
    await untilServed(`http://127.0.0.1:${port}/health`, server, signal);
    await exec([join(bin, 'psql'), url, '-qc', seed(machines)], {timeoutMs: SEED_MS, signal});
    return {
      name: 'Nebraska on PostgreSQL',
      port,
      expect: 'status="noupdate"',
      poll: machine => ({
        path: '/v1/update/',
        headers: {'content-type': 'text/xml'},
        body: requestOf(machine),
      }),
      cpuSeconds: () => treeCpuSeconds(server.pid ?? 0) + treeCpuSeconds(database.pid ?? 0),
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function build(folder: string, signal: AbortSignal): Promise<string> {
  const program = join(folder, 'nebraska');
  if (await exists(program)) return program;
  try {
    const env = {...process.env, GOBIN: folder, GOFLAGS: '-buildvcs=false'} as Record<string, string>;
    await exec(['go', 'install', `${nebraska}@${version}`], {timeoutMs: BUILD_MS, signal, env});
  } catch (error) {
    signal.throwIfAborted();
    throw new BenchError('missing-tool', 'Nebraska could not be built', {
      remedy: 'install Go 1.21 or newer, with a way to its module proxy',
      cause: error,
    });
  }
  return program;
}

async function postgresBin(): Promise<string> {
  const versions = await readdir('/usr/lib/postgresql').catch(() => []);
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  if (newest !== undefined) return join('/usr/lib/postgresql', newest, 'bin');
  throw new BenchError('missing-tool', 'PostgreSQL is not installed', {remedy: 'apt-get install postgresql'});
}

interface PostgresWish {
  readonly bin: string;
  readonly folder: string;
  readonly port: number;
  readonly start: (argv: readonly string[]) => ChildProcess;
  readonly signal: AbortSignal;
}

/** It refuses to run as root. Settings are Debian's and its own, but for where it listens. */
async function startPostgres({bin, folder, port, start, signal}: PostgresWish): Promise<ChildProcess> {
  const options = {timeoutMs: SEED_MS, signal};
  const id = Number((await exec(['id', '-u', 'postgres'], options)).stdout);
  await chown(folder, id, id);
  const asPostgres = ['setpriv', `--reuid=${id}`, '--clear-groups'];
  const data = join(folder, 'data');
  await exec([...asPostgres, join(bin, 'initdb'), '-D', data, '-U', 'postgres', '-A', 'trust'], {
    ...options,
    cwd: folder,
  });
  const settings = ['-c', 'listen_addresses=127.0.0.1', '-c', `port=${port}`];
  const database = start([
    ...asPostgres,
    join(bin, 'postgres'),
    '-D',
    data,
    ...settings,
    '-c',
    `unix_socket_directories=${folder}`,
  ]);
  const ready = [join(bin, 'pg_isready'), '-q', '-h', '127.0.0.1', '-p', String(port)];
  while ((await exec(ready, {...options, okCodes: [0, 1, 2]})).code !== 0) {
    if (database.exitCode !== null) throw new BenchError('missing-tool', 'PostgreSQL does not start');
    await sleep(200, undefined, {signal});
  }
  const create = ['createdb', '-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', 'nebraska'];
  await exec([join(bin, create[0] ?? ''), ...create.slice(1)], options);
  return database;
}

/** All run what the group offers, so that no poll begins an update: the least that a poll can cost. */
function seed(machines: number): string {
  const id = "'m' || number";
  return `
    insert into instance (id, ip, alias) select ${id}, '127.0.0.1', '' from generate_series(0, ${machines - 1}) number;
    insert into instance_application (instance_id, application_id, group_id, version, last_check_for_updates)
      select ${id}, '${application}', (select id from groups where track = 'stable' and application_id = '${application}' order by created_ts limit 1),
        '${current}', now() - case when number < ${machines / 2} then interval '0' else interval '${silentSeconds} seconds' end
      from generate_series(0, ${machines - 1}) number;
    analyze`;
}

/** As Flatcar's client sends it at every check, the event of a machine that has updated long ago included. */
function requestOf(machine: number): string {
  return (
    '<?xml version="1.0" encoding="UTF-8"?><request protocol="3.0" version="update_engine-0.4.10" installsource="scheduler" ismachine="1">' +
    `<os version="Chateau" platform="CoreOS" sp="${current}_x86_64"></os>` +
    `<app appid="{${application}}" version="${current}" track="stable" bootid="{boot}" machineid="m${machine}" lang="en-US" board="amd64-usr" delta_okay="false">` +
    '<ping active="1"></ping><updatecheck></updatecheck>' +
    '<event eventtype="3" eventresult="2" previousversion=""></event></app></request>'
  );
}

async function untilServed(url: string, server: ChildProcess, signal: AbortSignal): Promise<void> {
  for (;;) {
    if (server.exitCode !== null) throw new BenchError('missing-tool', 'Nebraska ended at once');
    if ((await fetch(url).catch(() => undefined))?.status === 200) return;
    await sleep(200, undefined, {signal});
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
