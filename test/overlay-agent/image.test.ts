/** What the image has of the agent: its unit, and the plugin of CNI, which says what is wrong when the agent is away. */
import {access, constants, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import test from 'ava';
import {parse} from 'yaml';
import {exec} from '../../services/common/exec.ts';
import {nameServerAddress} from '../../services/overlay-agent/adapters/name-server.ts';
import {haveSystemd} from '../support/systemd.ts';

const root = join(import.meta.dirname, '../..');
const files = join(root, 'image-build/files');
const unit = join(root, 'services/overlay-agent/systemd/hawser-overlay.service');
const plugin = join(files, 'usr/lib/cni/hawser');

test('the unit loads before Docker and after enrolment, without a complaint, and the recipe enables it', async t => {
  if (!(await haveSystemd(t))) return;
  const home = await mkdtemp(join(tmpdir(), 'hawser-units-'));
  t.teardown(() => rm(home, {recursive: true}));
  const folder = join(home, 'usr/lib/systemd/system');
  const wants = join(folder, 'multi-user.target.wants');
  await mkdir(wants, {recursive: true});
  const service = '[Service]\nType=oneshot\nExecStart=/usr/bin/true\n';
  const others: Record<string, string> = {
    'docker.service': service,
    'hawser-enrol.service': `[Unit]\nBefore=docker.service\n${service}`,
    'network.target': '[Unit]\n',
    'sysinit.target': '[Unit]\nDefaultDependencies=no\n',
    'basic.target': '[Unit]\nDefaultDependencies=no\nRequires=sysinit.target\nAfter=sysinit.target\n',
    'shutdown.target': '[Unit]\nDefaultDependencies=no\n',
    'multi-user.target':
      '[Unit]\nRequires=basic.target\nAfter=basic.target\nWants=docker.service hawser-enrol.service\n',
  };
  for (const [name, text] of Object.entries(others)) await writeFile(join(folder, name), text);
  await cp(unit, join(folder, 'hawser-overlay.service'));
  await symlink('../hawser-overlay.service', join(wants, 'hawser-overlay.service'));
  for (const program of ['usr/bin/true', 'usr/lib/hawser/overlay-agent']) {
    await mkdir(dirname(join(home, program)), {recursive: true});
    await cp('/bin/true', join(home, program), {dereference: true});
  }
  const argv = ['systemd-analyze', 'verify', `--root=${home}`, '--man=no', 'multi-user.target'];
  t.is((await exec(argv, {timeoutMs: 30_000, okCodes: [0, 1]})).stderr, '');
  const recipe = parse(await readFile(join(root, 'image-build/recipe.yaml'), 'utf8')) as {
    provision: {agents: string[]; enable: Record<string, string[]>};
  };
  t.true(recipe.provision.agents.includes('overlay-agent'));
  t.true(recipe.provision.enable['multi-user.target']?.includes('hawser-overlay.service'));
});

test('a machine without a server pays nothing', async t => {
  const text = await readFile(unit, 'utf8');
  t.regex(text, /^ConditionPathExists=\/etc\/hawser\/update\.json$/m);
  t.regex(text, /^ConditionPathExists=\/etc\/docker\/tls\/server\.pem$/m);
});

test('Docker asks the agent for names first, and systemd-resolved when it is away', async t => {
  const daemon = JSON.parse(
    await readFile(join(files, 'usr/share/hawser/etc/docker/daemon.json'), 'utf8'),
  ) as {
    dns: string[];
  };
  const network = await readFile(join(files, 'usr/lib/systemd/network/10-hawser-names.network'), 'utf8');
  const resolved = await readFile(join(files, 'usr/lib/systemd/resolved.conf.d/50-hawser.conf'), 'utf8');
  const [first = '', second = ''] = daemon.dns;
  t.is(first, nameServerAddress);
  for (const address of daemon.dns) t.true(network.includes(`Address=${address}/32`));
  t.true(resolved.includes(`DNSStubListenerExtra=${second}`));
});

test('the plugin of CNI without an agent: an error as the specification has it', async t => {
  await access(plugin, constants.X_OK);
  for (const [command, code] of [
    ['ADD', 11],
    ['STATUS', 50],
  ] as const) {
    const env = {
      PATH: '/usr/bin:/bin',
      CNI_COMMAND: command,
      CNI_CONTAINERID: 'c',
      CNI_NETNS: '/x',
      CNI_IFNAME: 'eth0',
      HAWSER_OVERLAY_SOCKET: '/nonexistent',
    };
    const result = await exec([plugin], {timeoutMs: 10_000, input: '{}', env, okCodes: [1]});
    t.like(JSON.parse(result.stdout), {cniVersion: '1.1.0', code});
  }
});
