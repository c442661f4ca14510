/**
 * `node infra/labs/openstack/main.ts [--guest IMAGE] [TEST...]`: brings the lab up in a network namespace of its own,
 * runs the openstack driver's tests against it, and takes it down, whatever happens. With `--guest`, Nova runs real
 * guests, and the one test is that the built image in that folder comes up.
 */
import {mkdtemp, realpath, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {describeError} from '../../../services/common/errors.ts';
import {exec} from '../../../services/common/exec.ts';
import {runShown} from '../../ci/run.ts';

const lab = join(import.meta.dirname, 'lab');
const INSTALL_MS = 900_000;
const UP_MS = 600_000;
const DOWN_MS = 120_000;

interface Options {
  readonly tests: readonly string[];
  /** A built image for real guests. */
  readonly guest: string | undefined;
  /** Set when this program calls itself. */
  readonly inside: boolean;
}

async function main({tests, guest, inside}: Options, signal: AbortSignal): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'osl-'));
  const call = (verb: string, timeoutMs: number, until?: AbortSignal) =>
    exec([lab, verb], {
      timeoutMs,
      signal: until,
      env: {...inherited(), OPENSTACK_LAB: folder, OSVIRT: guest === undefined ? 'fake' : 'qemu'},
      onLine: line => console.log(line),
    });
  try {
    if (!inside) {
      await call('install', INSTALL_MS, signal);
      // Its ports are fixed, and real guests bring bridges and filter rules: all of that in there only.
      const again = [process.execPath, import.meta.filename, '--inside', ...process.argv.slice(2)];
      const script = 'ip link set lo up && exec "$@"';
      return await shown(['unshare', '--net', '--', 'sh', '-c', script, 'sh', ...again], signal);
    }
    await call('up', UP_MS, signal);
    const wanted = guest === undefined ? ['test/openstack/*.test.ts'] : ['test/openstack/guest.test.ts'];
    const ava = ['node_modules/.bin/ava', '--serial', '--concurrency=1', '--timeout=60m'];
    return await shown([...ava, ...(tests.length > 0 ? tests : wanted)], signal, {
      HAWSER_OPENSTACK_LAB: folder,
      ...(guest === undefined ? {} : {HAWSER_OPENSTACK_GUEST: await realpath(guest)}),
    });
  } finally {
    await call('clean', DOWN_MS);
    await rm(folder, {recursive: true, force: true});
  }
}

async function shown(
  argv: readonly string[],
  signal: AbortSignal,
  env: Readonly<Record<string, string>> = {},
): Promise<number> {
  return (await runShown(argv, signal, env)).ok ? 0 : 1;
}

function inherited(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {guest: {type: 'string'}, inside: {type: 'boolean', default: false}},
});
const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interrupt.abort());
try {
  const options = {tests: positionals, guest: values.guest, inside: values.inside};
  process.exitCode = await main(options, interrupt.signal);
} catch (error) {
  console.error(`openstack lab: ${describeError(error)}`);
  process.exitCode = 1;
}
