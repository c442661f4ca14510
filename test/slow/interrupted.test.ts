import {spawn} from 'node:child_process';
import {mkdir, readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {exec} from '../../services/common/exec.ts';
import {cacheWithoutSteps, environment, haveRoots, leftovers, main, temporaryHome} from './support.ts';

/** Paths of work folders that exist now. */
async function workFolders(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter(name => name.startsWith('.build-')).map(name => join(folder, name));
}

async function waitFor(t: ExecutionContext, what: string, condition: () => Promise<boolean>): Promise<void> {
  for (let waited = 0; waited < 600_000; waited += 50) {
    if (await condition()) return;
    await sleep(50);
  }
  t.fail(`${what} never came`);
}

/** Lines of /proc that speak of `path`: processes by their arguments, mounts by their source and target. */
async function traces(path: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (commandLine.includes(path) && Number(pid) !== process.pid)
      found.push(`process ${pid} ${commandLine.replaceAll('\0', ' ')}`);
  }
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  return [...found, ...mounts.split('\n').filter(line => line.includes(path))];
}

const moments: Readonly<Record<string, string>> = {
  'while the file system is packed': 'usr.erofs',
  'while the disk is made': 'repart.d',
};

for (const [moment, sign] of Object.entries(moments)) {
  test.serial(`^C ${moment} ends the build within seconds, with nothing left behind`, async t => {
    if (!(await haveRoots(t))) return;
    t.timeout(1_200_000);
    const home = await temporaryHome(t);
    const cache = await cacheWithoutSteps(t);
    // A group of its own, as a terminal gives a command: ^C goes to all of it.
    const child = spawn(process.execPath, [main, 'image', 'build', '--unsigned'], {
      env: environment({home, cache}),
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = new Promise<number | null>(resolve => child.once('close', code => resolve(code)));
    t.teardown(async () => {
      if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      await ended;
    });
    let stderr = '';
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => {
      stderr += text;
    });

    await waitFor(t, sign, async () => {
      const [work] = await workFolders(cache);
      if (work === undefined) return false;
      const names: string[] = await readdir(work).catch(() => []);
      return names.includes(sign);
    });
    const started = performance.now();
    process.kill(-(child.pid ?? 0), 'SIGINT');
    t.is(await ended, 130, stderr);
    t.true(performance.now() - started < 20_000);
    t.deepEqual(await leftovers(home, cache), []);
    t.deepEqual(await readdir(join(home, 'images')), []);
    t.deepEqual(await traces(cache), []);
  });
}

test.serial(
  'a full disk ends the build with one line that names the remedy, and nothing left behind',
  async t => {
    if (!(await haveRoots(t))) return;
    t.timeout(1_200_000);
    const home = await temporaryHome(t);
    await mkdir(join(home, 'small'));
    const script = `
    mount -t tmpfs -o size=200m tmpfs "$1"; shift
    "$@"; echo "code $?"
    find "$HAWSER_HOME" -mindepth 2`;
    const run = {home: join(home, 'small')};
    const argv = [
      'unshare',
      '--mount',
      'sh',
      '-c',
      script,
      'sh',
      run.home,
      process.execPath,
      main,
      'image',
      'build',
      '--unsigned',
    ];
    const {stdout, stderr} = await exec(argv, {timeoutMs: 900_000, env: environment(run)});
    t.is(stdout, 'code 1\n');
    const last = stderr.trimEnd().split('\n').at(-1) ?? '';
    t.regex(last, /^hawser: the disk is full: free \d+ GB for .*, and build again$/);
  },
);
