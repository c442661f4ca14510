/** The real command, killed with SIGKILL in the middle of a creation, with a real emulator (processors halted). */
import {spawn} from 'node:child_process';
import {readFile, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import type {ExecutionContext} from 'ava';
import {exec} from '../../services/common/exec.ts';
import {environmentOf, launcher} from '../support/cli.ts';
import {temporaryFolder} from './support/runtime.ts';

async function bench(t: ExecutionContext) {
  const home = await temporaryFolder(t);
  const image = join(home, 'image.qcow2');
  await exec(['qemu-img', 'create', '-q', '-f', 'qcow2', image, '64M'], {timeoutMs: 30_000});
  const env = environmentOf(home);
  const run = (words: readonly string[]) =>
    exec([launcher, 'machine', ...words], {timeoutMs: 60_000, okCodes: [0, 1, 130], env});
  const flags = [
    '--image',
    image,
    '--qemu-paused',
    '--qemu-restrict',
    '--qemu-accel',
    'tcg',
    '--qemu-memory',
    '128',
  ];
  const create = (seconds: number) => ['create', 'm', '--timeout', String(seconds), ...flags];
  t.teardown(() => run(['rm', '-f', 'm']));
  const ledger = join(home, 'machines', 'm', 'ledger.jsonl');
  const start = () => spawn(launcher, ['machine', ...create(60)], {env, stdio: 'ignore'});
  const reached = async (mark: string) => {
    while (!(await readFile(ledger, 'utf8').catch(() => '')).includes(mark)) await delay(5);
  };
  const emulators = async () => {
    const found: number[] = [];
    for (const entry of await readdir('/proc')) {
      if (!/^\d+$/.test(entry)) continue;
      const words = (await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '')).split('\0');
      if (words.includes('-pidfile') && words.some(word => word.startsWith(home))) found.push(Number(entry));
    }
    return found;
  };
  return {home, run, create, start, reached, emulators};
}

for (const mark of [
  '"step":"key","event":"intent"',
  '"step":"disk","event":"intent"',
  '"step":"boot","event":"intent"',
  '"step":"ssh","event":"intent"',
]) {
  test.serial(`killed right after ${mark}: resumed, one emulator; removed, none`, async t => {
    const {home, run, create, start, reached, emulators} = await bench(t);
    const child = start();
    const ended = new Promise(resolve => child.once('exit', resolve));
    await reached(mark);
    child.kill('SIGKILL');
    await ended;
    const listed = await run(['ls']);
    t.regex(listed.stdout, /not finished: hawser machine create m/);

    const resumed = await run(create(1));
    t.regex(resumed.stderr, /Taking up the creation of "m"/);
    t.regex(resumed.stderr, /no SSH login on 127\.0\.0\.1/);
    t.is((await emulators()).length, 1);

    t.is((await run(['rm', '-y', 'm'])).code, 0);
    t.deepEqual(await emulators(), []);
    t.deepEqual(
      (await readdir(join(home, 'machines'))).filter(entry => !entry.startsWith('.')),
      [],
    );
    t.deepEqual(await readdir(join(home, 'machines', '.bases')).catch(() => []), []);
    t.deepEqual(await readdir(join(home, 'machines', '.run')).catch(() => []), []);
    t.deepEqual(await readdir(join(home, 'machines', '.locks')), []);
  });
}

test.serial('^C leaves a machine that can be taken up, exit code 130', async t => {
  const {run, start, reached} = await bench(t);
  const child = start();
  const ended = new Promise<number | null>(resolve => child.once('exit', code => resolve(code)));
  await reached('"step":"ssh","event":"intent"');
  child.kill('SIGINT');
  t.is(await ended, 130);
  t.regex((await run(['ls'])).stdout, /not finished: hawser machine create m/);
  t.is((await run(['rm', '-y', 'm'])).code, 0);
});

test.serial('while one works on a machine, another is told who', async t => {
  const {run, start, reached} = await bench(t);
  const child = start();
  const ended = new Promise(resolve => child.once('exit', resolve));
  await reached('"step":"ssh","event":"intent"');
  const second = await run(['rm', '-y', 'm']);
  t.is(second.code, 1);
  t.regex(second.stderr, /machine "m" is in use by another hawser \(process \d+\): wait until it has ended/);
  child.kill('SIGKILL');
  await ended;
});
