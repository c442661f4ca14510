/** `machine create -d generic` and the life after it, against a real sshd, the real agent and the real CA. */
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import anyTest from 'ava';
import type {ExecutionContext} from 'ava';
import {X509Certificate} from 'node:crypto';
import {systemClock} from '../../services/common/clock.ts';
import {sha256} from '../../services/common/hash.ts';
import {exec} from '../../services/common/exec.ts';
import type {ExecResult} from '../../services/common/exec.ts';
import {layoutUnder} from '../../services/enrol-agent/layout.ts';
import {environmentOf, launcher} from '../support/cli.ts';
import {startLoopbackHost, whyNoLoopbackHost} from './support/loopback-host.ts';
import type {LoopbackHost} from './support/loopback-host.ts';
import {serveDocker} from './support/docker.ts';
import type {DockerStandIn} from './support/docker.ts';
import {temporaryFolder} from './support/runtime.ts';

const missing = await whyNoLoopbackHost();
const test = missing === undefined ? anyTest.serial : anyTest.serial.skip;
const dockerPort = 32_376;

interface Bench {
  readonly host: LoopbackHost;
  readonly home: string;
  readonly folder: string;
  readonly create: (...words: string[]) => Promise<ExecResult>;
  readonly run: (...words: string[]) => Promise<ExecResult>;
}

async function bench(t: ExecutionContext): Promise<Bench> {
  const home = await temporaryFolder(t);
  const host = await startLoopbackHost(t, join(home, 'host'), 'real');
  const env = environmentOf(home);
  const run = (...words: string[]) =>
    exec([launcher, 'machine', ...words], {timeoutMs: 90_000, okCodes: [0, 1, 3, 7], env});
  const create = (...words: string[]) =>
    run(
      ...[
        ['create', '-d', 'generic', '--generic-ip-address', '127.0.0.1', '--generic-ssh-user', 'root'],
        ['--generic-ssh-port', String(host.port), '--generic-ssh-key', host.key],
        ['--generic-engine-port', String(dockerPort), '--timeout', '60', ...words],
      ].flat(),
    );
  return {home, host, folder: join(home, 'machines', 'web'), run, create};
}

async function created(t: ExecutionContext): Promise<Bench & {docker: DockerStandIn}> {
  const given = await bench(t);
  const serving = serveDocker(t, layoutUnder(given.host.root), dockerPort);
  const result = await given.create(
    '--generic-host-key',
    given.host.hostKey,
    '--tls-san',
    'web.example.com',
    'web',
  );
  t.is(result.code, 0, result.stderr);
  return {...given, docker: await serving};
}

test('a host is taken over, worked with, and given back', async t => {
  const {home, host, run} = await created(t);
  t.is((await run('ls', '-q')).stdout, 'web\n');
  t.is((await run('status', 'web')).stdout, 'Running\n');
  t.is((await run('url', 'web')).stdout, `tcp://127.0.0.1:${dockerPort}\n`);
  t.is((await run('version', 'web')).stdout, '26.1.5\n');
  t.is((await run('ls', '-f', '{{.Name}} {{.State}} {{.DockerVersion}}')).stdout, 'web Running v26.1.5\n');
  t.is(
    (await run('inspect', '-f', '{{.Driver.SSHPort}} {{.DriverName}}', 'web')).stdout,
    `${host.port} generic\n`,
  );
  const ssh = await run('ssh', 'web', 'cat /etc/hostname; exit 7');
  t.deepEqual([ssh.code, ssh.stdout], [7, 'web\n']);
  const refused = await run('stop', 'web');
  t.is(refused.code, 1);
  t.regex(refused.stderr, /generic driver does not support stop/);
  const context = join(home, '.docker', 'contexts', 'meta', sha256('web'), 'meta.json');
  t.regex(await readFile(context, 'utf8'), new RegExp(`"Host":"tcp://127.0.0.1:${dockerPort}"`));
  t.is((await run('active')).code, 1);
  t.is((await run('rm', '-y', 'web')).code, 0);
  await t.throwsAsync(readFile(context), {code: 'ENOENT'});
  t.is((await host.authorizedKeys()).length, 1);
  t.is((await run('ls', '-q')).stdout, '');
});

test('new certificates keep the names, and what was revoked by them is another key’s', async t => {
  const {host, folder, run, docker} = await created(t);
  const layout = layoutUnder(host.root);
  const before = new X509Certificate(await readFile(layout.certificate));
  t.true(before.subjectAltName?.includes('web.example.com'));
  const clientBefore = await readFile(join(folder, 'cert.pem'), 'utf8');
  const renewing = run('regenerate-certs', '-f', '--client-certs', 'web');
  // A restarted dockerd reads its certificate again.
  while (!(await host.systemctl()).includes('try-restart docker.service')) await systemClock.sleep(50);
  await docker.reload();
  const result = await renewing;
  t.is(result.code, 0, result.stderr);
  const after = new X509Certificate(await readFile(layout.certificate));
  t.not(after.serialNumber, before.serialNumber);
  t.is(after.subjectAltName, before.subjectAltName);
  t.not(await readFile(join(folder, 'cert.pem'), 'utf8'), clientBefore);
  t.is((await run('version', 'web')).stdout, '26.1.5\n');
  const again = await run('provision', 'web');
  t.is(again.code, 0, again.stderr);
});

test('upgrade asks the host’s own updater, and waits for it', async t => {
  const {host, run} = await created(t);
  const none = await run('upgrade', 'web');
  t.is(none.code, 1);
  t.regex(none.stderr, /"web" is not updated by a server: create machines with --update-server/);
  await writeFile(join(host.root, 'release'), '1.0.0');
  t.is((await run('upgrade', 'web')).stdout, 'web already runs 1.0.0\n');
  await writeFile(join(host.root, 'offered'), '1.1.0');
  t.is((await run('upgrade', 'web')).stdout, 'web runs 1.1.0, before 1.0.0\n');
  await writeFile(join(host.root, 'offered'), '1.2.0');
  t.deepEqual(JSON.parse((await run('upgrade', '--output', 'json', 'web')).stdout), {
    name: 'web',
    from: '1.1.0',
    to: '1.2.0',
  });
});

test('what is wrong with the host is said in one line, exit code 3, and nothing is left', async t => {
  const {host, create, run} = await bench(t);
  const other = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
  const cases = [
    {words: ['--generic-host-key', other, 'web'], pattern: /does not have the host key that is known of it/},
    {words: ['--generic-ssh-user', 'nobody-there', 'web'], pattern: /does not let us in.*--generic-ssh-user/},
    {words: ['--generic-ssh-port', '1', 'web'], pattern: /no SSH at 127.0.0.1, port 1/},
  ];
  for (const {words, pattern} of cases) {
    const result = await create(...words);
    t.is(result.code, 3, result.stderr);
    t.regex(result.stderr.trim().split('\n').at(-1) ?? '', pattern);
  }
  t.is((await run('ls', '-q')).stdout, '');
  t.is((await host.authorizedKeys()).length, 1);
});

if (missing !== undefined) {
  anyTest(`SKIPPED: ${missing}, so the generic driver was not tried with the real agent`, t => t.pass());
}
