/** The real command, given what it cannot use: one line, the right exit code, nothing half-made. */
import {createServer} from 'node:net';
import {readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import type {ExecutionContext} from 'ava';
import {exec} from '../../services/common/exec.ts';
import type {ExecResult} from '../../services/common/exec.ts';
import {environmentOf, launcher} from '../support/cli.ts';
import {temporaryFolder} from './support/runtime.ts';

const dyingQemu = fileURLToPath(new URL('./fixtures/dying-qemu', import.meta.url));

interface Bench {
  readonly home: string;
  readonly image: string;
  run(...words: string[]): Promise<ExecResult>;
}

async function bench(t: ExecutionContext): Promise<Bench> {
  const home = await temporaryFolder(t);
  const image = join(home, 'image.qcow2');
  await exec(['qemu-img', 'create', '-q', '-f', 'qcow2', image, '64M'], {timeoutMs: 30_000});
  const env = environmentOf(home);
  return {
    home,
    image,
    run: (...words) =>
      exec([launcher, 'machine', ...words], {timeoutMs: 60_000, okCodes: [0, 1, 2, 3, 130], env}),
  };
}

/** The last line of standard error; the lines before it are the steps. */
function lastLine(result: ExecResult): string {
  return result.stderr.trimEnd().split('\n').at(-1) ?? '';
}

async function machinesIn(home: string): Promise<string[]> {
  return (await readdir(join(home, 'machines'))).filter(entry => !entry.startsWith('.'));
}

const refuses = test.macro({
  async exec(t, words: (given: Bench) => string[], code: number, pattern: RegExp) {
    const given = await bench(t);
    const result = await given.run(...words(given));
    t.is(result.code, code, result.stderr);
    t.regex(lastLine(result), /^hawser: /);
    t.regex(lastLine(result), pattern);
    t.is(result.stdout, '');
    const made = await machinesIn(given.home).catch(() => []);
    t.deepEqual(made, []);
  },
  title: given => `create: ${given}`,
});

test.serial(
  'an impossible name',
  refuses,
  () => ['create', 'a_b'],
  1,
  /"a_b" cannot name a machine: use 1 to 63/,
);
test.serial(
  'an unknown flag',
  refuses,
  () => ['create', '--qemu-memroy', '1'],
  1,
  /did you mean --qemu-memory\?/,
);
test.serial(
  'an unknown driver',
  refuses,
  () => ['create', '-d', 'nova'],
  1,
  /no driver "nova": the drivers are qemu, virtualbox, openstack, amazonec2, generic/,
);
test.serial('no image', refuses, () => ['create'], 3, /no image at .*: build one with hawser image build/);
test.serial(
  'a folder that is no image',
  refuses,
  ({home}) => ['create', '--image', home],
  3,
  /has no manifest\.json/,
);
test.serial(
  'no emulator',
  refuses,
  ({image}) => ['create', '--image', image, '--qemu-program', 'qemu-nowhere'],
  3,
  /qemu-nowhere is not installed: install QEMU/,
);
test.serial(
  'no such firmware',
  refuses,
  ({image}) => ['create', '--image', image, '--qemu-firmware', '/nowhere.fd'],
  1,
  /--qemu-firmware is "\/nowhere\.fd"/,
);
test.serial(
  'Secure Boot without keys',
  refuses,
  ({image}) => ['create', '--image', image, '--qemu-secure-boot'],
  3,
  /no variables with enrolled keys/,
);
test.serial(
  'too little memory',
  refuses,
  ({image}) => ['create', '--image', image, '--qemu-memory', '1'],
  1,
  /--qemu-memory is "1": give from 128/,
);
test.serial(
  'a disk smaller than the image',
  refuses,
  ({image}) => ['create', '--image', image, '--qemu-disk-size', '1M'],
  1,
  /smaller than the image .*: give --qemu-disk-size 1G/,
);
test.serial(
  'a configuration that is not there',
  refuses,
  ({image}) => ['create', '--image', image, '--config', 'nowhere.yaml'],
  1,
  /nowhere\.yaml cannot be read/,
);
test.serial(
  'an emulator that dies at start',
  refuses,
  ({image}) => ['create', '--image', image, '--qemu-accel', 'tcg', '--qemu-program', dyingQemu],
  1,
  /did not start: .*could not allocate guest memory: check memory/,
);

test.serial('create: a configuration with a mistake is told by line before anything is made', async t => {
  const given = await bench(t);
  const config = join(given.home, 'web.yaml');
  await writeFile(config, 'variant: hawser\nversion: 1.0.0\nno_such_field: 1\n');
  const result = await given.run('create', '--image', given.image, '--config', config);
  t.is(result.code, 1);
  t.regex(result.stderr, /web\.yaml:\d+:\d+: error: /);
  t.regex(lastLine(result), /web\.yaml cannot be used/);
  t.deepEqual(await machinesIn(given.home), []);
});

test.serial('create: no free port in the range', async t => {
  const given = await bench(t);
  const server = createServer();
  await new Promise<void>(resolve => server.listen({host: '127.0.0.1', port: 0}, resolve));
  t.teardown(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const result = await given.run(
    'create',
    '--image',
    given.image,
    '--qemu-ports',
    `${address.port}-${address.port}`,
  );
  t.is(result.code, 1);
  t.regex(lastLine(result), /no two free ports in .*: give another range with --qemu-ports/);
  t.deepEqual(await machinesIn(given.home), []);
  t.deepEqual(await readdir(join(given.home, 'enrolment', 'machines')).catch(() => []), []);
});

test.serial('commands on a machine that is not there', async t => {
  const given = await bench(t);
  for (const words of [
    ['ip'],
    ['url'],
    ['status'],
    ['inspect'],
    ['env'],
    ['config'],
    ['ssh'],
    ['start'],
    ['stop'],
    ['kill'],
  ]) {
    const result = await given.run(...words, 'nobody');
    t.is(result.code, 1, words.join(' '));
    t.is(
      result.stderr,
      'hawser: Docker machine "nobody" does not exist: hawser machine ls shows those there are\n',
    );
  }
  t.is((await given.run('rm', '-f', 'nobody')).code, 0);
  t.is((await given.run('rm', '-y', 'nobody')).code, 1);
  const several = await given.run('stop', 'a', 'b');
  t.is(several.code, 1);
  t.regex(several.stderr, /machine "a".*\n.*machine "b".*\nhawser: 2 of 2 machines failed\n$/);
});

test.serial('rm asks, and does nothing when nobody can answer', async t => {
  const result = await (await bench(t)).run('rm', 'x');
  t.is(result.code, 1);
  t.regex(lastLine(result), /nobody is there to answer: give -y/);
});

test.serial('no name means the machine called default', async t => {
  t.regex(
    lastLine(await (await bench(t)).run('status')),
    /No machine name\(s\) specified and no "default" machine exists/,
  );
});
