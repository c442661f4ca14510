import {cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {parse} from 'yaml';
import {exec} from '../../services/common/exec.ts';
import {haveSystemd} from '../support/systemd.ts';

const units = new URL('../../services/update-agent/systemd/', import.meta.url).pathname;
const image = new URL('../../image-build/', import.meta.url).pathname;

/** What the image has beside ours, as far as it matters for the order of things. */
const others: Record<string, string> = {
  'docker.service': '[Unit]\nAfter=network.target\n[Service]\nType=notify\nExecStart=/usr/bin/true\n',
  'hawser-enrol.service': '[Unit]\nBefore=docker.service\n[Service]\nType=oneshot\nExecStart=/usr/bin/true\n',
  'ssh.socket': '[Socket]\nListenStream=22\nAccept=yes\n',
  'ssh@.service': '[Service]\nExecStart=/usr/bin/true\nStandardInput=socket\n',
  'systemd-bless-boot.service': `[Unit]\nDefaultDependencies=no\nRequires=boot-complete.target
After=local-fs.target boot-complete.target\n[Service]\nType=oneshot\nExecStart=/usr/bin/true\n`,
  'boot-complete.target': '[Unit]\nRequires=sysinit.target\nAfter=sysinit.target\n',
  'sysinit.target': '[Unit]\nDefaultDependencies=no\n',
  'sockets.target': '[Unit]\nDefaultDependencies=no\n',
  'timers.target': '[Unit]\nDefaultDependencies=no\n',
  'basic.target': `[Unit]\nDefaultDependencies=no\nRequires=sysinit.target
Wants=sockets.target timers.target\nAfter=sysinit.target sockets.target\n`,
  'network.target': '[Unit]\n',
  'local-fs.target': '[Unit]\nDefaultDependencies=no\n',
  'shutdown.target': '[Unit]\nDefaultDependencies=no\n',
  'multi-user.target': `[Unit]\nRequires=basic.target\nAfter=basic.target
Wants=boot-complete.target systemd-bless-boot.service docker.service ssh.socket\n`,
};

interface Recipe {
  readonly provision: {readonly enable: Readonly<Record<string, readonly string[]>>};
}

async function verify(t: ExecutionContext, change: (name: string, text: string) => string): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'hawser-units-'));
  t.teardown(() => rm(root, {recursive: true}));
  const folder = join(root, 'usr/lib/systemd/system');
  await mkdir(folder, {recursive: true});
  for (const name of await readdir(units)) {
    await writeFile(join(folder, name), change(name, await readFile(join(units, name), 'utf8')));
  }
  await cp(
    join(image, 'files/usr/lib/systemd/system/hawser-healthy.service'),
    join(folder, 'hawser-healthy.service'),
  );
  for (const [name, text] of Object.entries(others)) await writeFile(join(folder, name), text);
  const recipe = parse(await readFile(join(image, 'recipe.yaml'), 'utf8')) as Recipe;
  let enabled = 0;
  for (const [target, names] of Object.entries(recipe.provision.enable)) {
    for (const name of names) {
      if (!/^hawser-(update|ready|verdict|healthy)/.test(name)) continue;
      const wants = join(folder, target.includes('.target.') ? target : `${target}.wants`);
      await mkdir(wants, {recursive: true});
      await symlink(`../${name}`, join(wants, name));
      enabled += 1;
    }
  }
  t.is(enabled, 4, 'the recipe enables all of them');
  const programs = [
    'usr/bin/true',
    'usr/lib/hawser/update-agent',
    'usr/lib/hawser/update-verdict',
    'usr/lib/hawser/say-ready',
    'usr/lib/hawser/say-healthy',
  ];
  for (const program of programs) {
    await mkdir(dirname(join(root, program)), {recursive: true});
    await cp('/bin/true', join(root, program), {dereference: true});
  }
  const argv = [
    'systemd-analyze',
    'verify',
    `--root=${root}`,
    '--man=no',
    'multi-user.target',
    'hawser-update.service',
  ];
  return (await exec(argv, {timeoutMs: 30_000, okCodes: [0, 1]})).stderr;
}

test('the units load beside the others, without a complaint and without an ordering cycle', async t => {
  if (await haveSystemd(t)) t.is(await verify(t, (_name, text) => text), '');
});

test('a readiness socket with default dependencies would be an ordering cycle, which the test above would see', async t => {
  if (!(await haveSystemd(t))) return;
  const complaints = await verify(t, (name, text) =>
    name === 'hawser-ready.socket' ? text.replace('DefaultDependencies=no', '') : text,
  );
  t.regex(complaints, /ordering cycle/);
});

test('a machine without a server pays nothing: every unit that starts by itself asks for its configuration', async t => {
  for (const name of [
    'hawser-update.service',
    'hawser-update.timer',
    'hawser-verdict.service',
    'hawser-ready.socket',
  ]) {
    t.regex(
      await readFile(join(units, name), 'utf8'),
      /^ConditionPathExists=\/etc\/hawser\/update\.json$/m,
      name,
    );
  }
});

/** The script with its fixed path replaced by one of the test's. */
async function script(
  t: ExecutionContext,
  name: string,
): Promise<{run: (input?: string) => Promise<string>; state: string}> {
  const state = await mkdtemp(join(tmpdir(), 'hawser-script-'));
  t.teardown(() => rm(state, {recursive: true}));
  const text = await readFile(join(image, `files/usr/lib/hawser/${name}`), 'utf8');
  const path = join(state, name);
  await writeFile(
    path,
    text
      .replaceAll('/var/lib/hawser/update', state)
      .replace('/usr/lib/hawser/update-agent verdict', 'echo judged within'),
    {mode: 0o755},
  );
  return {
    state,
    run: async (input = '') => (await exec(['/bin/sh', path], {timeoutMs: 10_000, input})).stdout,
  };
}

test('the readiness answer: 200 in service, 503 while the marker of the drain is there', async t => {
  const {run, state} = await script(t, 'say-ready');
  const request = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
  t.is(
    await run(request),
    'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nConnection: close\r\n\r\nready\n',
  );
  await writeFile(join(state, 'draining'), '');
  t.regex(await run(request), /^HTTP\/1\.1 503 [\s\S]*Content-Length: 9\r\n[\s\S]*\r\n\r\ndraining\n$/);
  t.regex(await run(''), /^HTTP\/1\.1 503/, 'a caller that only connects');
});

test('the gate costs a start of the agent only in a boot that is on trial', async t => {
  const {run, state} = await script(t, 'update-verdict');
  const record = {
    schema: 1,
    phase: 'rebooting',
    failed: [],
    trial: {version: '1.1.0', from: {version: '1.0.0', rootHash: 'a'}, reboots: 0, gateSeconds: 432},
    events: [{sequence: 1}],
  };
  await writeFile(join(state, 'record.json'), `${JSON.stringify(record)}\n`);
  t.is(await run(), 'judged within\n');
  await writeFile(join(state, 'record.json'), `${JSON.stringify({...record, trial: undefined})}\n`);
  t.is(await run(), '');
});
