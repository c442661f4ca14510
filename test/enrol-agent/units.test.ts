import {cp, mkdir, readdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {exec} from '../../services/common/exec.ts';
import {DOCKER_OPTIONS, layoutUnder} from '../../services/enrol-agent/layout.ts';
import {tempFolder} from '../provisioner/enrolment/support.ts';
import {haveSystemd} from '../support/systemd.ts';

const UNITS = new URL('../../services/enrol-agent/systemd/', import.meta.url).pathname;

/** Debian's Docker units as far as they matter here, and the targets that every boot goes through. */
const OTHERS: Record<string, string> = {
  'docker.service': `[Unit]\nAfter=network.target docker.socket\nRequires=docker.socket
[Service]\nType=notify\nEnvironmentFile=-/etc/default/docker\nExecStart=/usr/bin/dockerd -H fd:// $DOCKER_OPTS\n`,
  'docker.socket': '[Socket]\nListenStream=/run/docker.sock\n',
  'hawser-hostkey.service': '[Service]\nType=oneshot\nExecStart=/usr/bin/dockerd\n',
  'sysinit.target': '[Unit]\nDefaultDependencies=no\n',
  'sockets.target': '[Unit]\nDefaultDependencies=no\n',
  'paths.target': '[Unit]\nDefaultDependencies=no\n',
  'timers.target': '[Unit]\nDefaultDependencies=no\n',
  'slices.target': '[Unit]\nDefaultDependencies=no\n',
  'basic.target': `[Unit]\nDefaultDependencies=no\nRequires=sysinit.target
Wants=sockets.target paths.target timers.target slices.target\nAfter=sysinit.target sockets.target paths.target slices.target\n`,
  'network.target': '[Unit]\n',
  'shutdown.target': '[Unit]\nDefaultDependencies=no\n',
  'multi-user.target': '[Unit]\nRequires=basic.target\nAfter=basic.target\n',
};
const ENABLED = ['hawser-enrol.service', 'docker-tls.socket', 'hawser-enrol-late.path', 'docker.service'];

async function verify(t: ExecutionContext, change: (name: string, text: string) => string): Promise<string> {
  const root = await tempFolder(t);
  const folder = join(root, 'usr/lib/systemd/system');
  for (const name of await readdir(UNITS, {recursive: true})) {
    if (!/\.(service|socket|path|conf)$/.test(name)) continue;
    await mkdir(dirname(join(folder, name)), {recursive: true});
    await writeFile(join(folder, name), change(name, await readFile(join(UNITS, name), 'utf8')));
  }
  for (const [name, text] of Object.entries(OTHERS)) await writeFile(join(folder, name), text);
  await mkdir(join(folder, 'multi-user.target.wants'));
  await mkdir(join(folder, 'sockets.target.wants'));
  for (const name of ENABLED) await symlink(`../${name}`, join(folder, 'multi-user.target.wants', name));
  await symlink('../docker.socket', join(folder, 'sockets.target.wants/docker.socket'));
  for (const program of ['usr/lib/hawser/hawser-enrol', 'usr/bin/dockerd', 'bin/sh']) {
    await mkdir(dirname(join(root, program)), {recursive: true});
    await cp('/bin/true', join(root, program), {dereference: true});
  }
  const argv = [
    'systemd-analyze',
    'verify',
    `--root=${root}`,
    '--man=no',
    'multi-user.target',
    'hawser-enrol-late.service',
  ];
  const {stderr} = await exec(argv, {timeoutMs: 30_000, okCodes: [0, 1]});
  return stderr;
}

test("the units load beside Debian's Docker, without a complaint and without an ordering cycle", async t => {
  if (await haveSystemd(t)) t.is(await verify(t, (_name, text) => text), '');
});

test('the socket with its default dependencies would be an ordering cycle, which the test above would see', async t => {
  if (!(await haveSystemd(t))) return;
  const complaints = await verify(t, (name, text) =>
    name === 'docker-tls.socket' ? text.replace('DefaultDependencies=no', '') : text,
  );
  t.regex(complaints, /ordering cycle/);
});

test("dockerd's options and the conditions of the socket name the files that the agent writes", async t => {
  const layout = layoutUnder('/');
  const options = await readFile(join(UNITS, 'docker-tls.env'), 'utf8');
  t.is(
    options,
    `DOCKER_OPTS=--tlsverify --tlscacert=${layout.clientCa} --tlscert=${layout.certificate} --tlskey=${layout.key}\n`,
  );
  t.is(DOCKER_OPTIONS, '/usr/lib/hawser/docker-tls.env');
  t.regex(
    await readFile(join(UNITS, 'docker.service.d/50-hawser-tls.conf'), 'utf8'),
    new RegExp(`=-${layout.dockerOptions}\n`),
  );
  const socket = await readFile(join(UNITS, 'docker-tls.socket'), 'utf8');
  for (const path of [layout.certificate, layout.dockerOptions])
    t.true(socket.includes(`ConditionPathExists=${path}\n`));
  t.true(
    (await readFile(join(UNITS, 'hawser-enrol.service'), 'utf8')).includes(
      `ConditionPathExists=${layout.config}\n`,
    ),
  );
});
