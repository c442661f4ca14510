import {mkdtemp, rm, symlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {exec} from '../../services/common/exec.ts';

const launcher = fileURLToPath(new URL('../../services/cli/hawser', import.meta.url));
const options = {timeoutMs: 30_000, okCodes: [0, 1]};

test('the launcher is found through a chain of links, from any folder', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-launcher-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  await symlink(launcher, join(folder, 'first'));
  await symlink('first', join(folder, 'second link'));
  const {stdout, code} = await exec([join(folder, 'second link'), '--version'], {...options, cwd: folder});
  t.is(code, 0);
  t.regex(stdout, /^hawser \d+\.\d+\.\d+\n$/);
});

test('without the packages it says what to run', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-launcher-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  await exec(['mkdir', '-p', join(folder, 'services', 'cli')], options);
  await exec(['cp', launcher, join(folder, 'services', 'cli', 'hawser')], options);
  const {code, stderr} = await exec([join(folder, 'services', 'cli', 'hawser')], options);
  t.is(code, 1);
  t.regex(stderr, /run 'npm ci' in /);
});

test('a failure is one line on standard error and exit code 1; debug adds the stack', async t => {
  const plain = await exec([launcher, 'machnie'], options);
  t.is(plain.code, 1);
  t.is(plain.stdout, '');
  t.is(plain.stderr, 'hawser: there is no command "machnie": did you mean hawser machine?\n');
  const debug = await exec([launcher, '--debug', 'machnie'], options);
  t.regex(debug.stderr, /dispatch\.ts:\d+/);
});

test('a reader that goes away early is not an error', async t => {
  const {stderr, code} = await exec(['sh', '-c', '"$1" machine create --help | head -n 1', 'sh', launcher], {
    ...options,
    cwd: dirname(launcher),
  });
  t.is(code, 0);
  t.is(stderr, '');
});

test('a cache folder that cannot be made is done without', async t => {
  const env = {PATH: process.env['PATH'] ?? '', HAWSER_CACHE: '/proc/no-such-folder'};
  const {stdout} = await exec([launcher, '--version'], {timeoutMs: 10_000, env});
  t.regex(stdout, /^hawser /);
});
