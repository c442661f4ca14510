import test from 'ava';
import type {EnrolmentConfig} from '../../../services/common/contracts/enrolment.ts';
import {ConfigError} from '../../../services/provisioner/config/errors.ts';
import {
  addFile,
  addLink,
  addUnit,
  emptyConfig,
  type IgnitionConfig,
} from '../../../services/provisioner/config/ignition.ts';
import {machineConfig} from '../../../services/provisioner/config/machine-config.ts';
import {dataUrlBytes} from './support.ts';

const enrolment: EnrolmentConfig = {
  machine: '0b5a2f0e-9c1d-4a59-8a53-0d1b7f1f4c11',
  name: 'web-1',
  generation: 1,
  token: 'A'.repeat(43),
  expires: 1_900_000_000,
};
const input = {
  hostname: 'web-1',
  user: 'core' as const,
  sshAuthorizedKeys: ['ssh-ed25519 AAAA me'],
  enrolment,
};

function fileText(config: IgnitionConfig, path: string): string | undefined {
  const file = config.storage?.files?.find(one => one.path === path);
  return file === undefined ? undefined : dataUrlBytes(file.contents?.source ?? '').toString();
}

test('a machine gets its name, its user with groups and keys, and its enrolment, which only root can read', t => {
  const config = machineConfig(input);
  t.is(fileText(config, '/etc/hostname'), 'web-1\n');
  t.deepEqual(JSON.parse(fileText(config, '/etc/hawser/enrolment.json') ?? ''), enrolment);
  t.is(config.storage?.files?.find(one => one.path === '/etc/hawser/enrolment.json')?.mode, 0o600);
  t.deepEqual(config.passwd?.users, [
    {name: 'core', sshAuthorizedKeys: ['ssh-ed25519 AAAA me'], groups: ['sudo', 'docker']},
  ]);
  t.is(config.ignition.version, '3.3.0');
});

test('the same key given twice is written once', t => {
  const config = machineConfig({...input, sshAuthorizedKeys: ['k', 'k']});
  t.deepEqual(config.passwd?.users?.[0]?.sshAuthorizedKeys, ['k']);
});

test("the operator's config is merged over the machine's", t => {
  const operatorConfig: IgnitionConfig = {
    ...addFile(emptyConfig(), {path: '/etc/hostname', contents: 'other\n'}),
    passwd: {users: [{name: 'core', sshAuthorizedKeys: ['own'], groups: ['adm', 'docker']}]},
  };
  const config = machineConfig({
    ...input,
    operatorConfig: addUnit(operatorConfig, {name: 'a.service', mask: true}),
  });
  t.is(fileText(config, '/etc/hostname'), 'other\n');
  t.deepEqual(config.passwd?.users?.[0]?.sshAuthorizedKeys, ['ssh-ed25519 AAAA me', 'own']);
  t.deepEqual(config.passwd?.users?.[0]?.groups, ['sudo', 'docker', 'adm']);
  t.deepEqual(config.systemd?.units, [{name: 'a.service', mask: true}]);
});

const overrides: readonly [string, IgnitionConfig][] = [
  ['a file at its path', addFile(emptyConfig(), {path: '/etc/hawser/enrolment.json', contents: ''})],
  ['a link at its path', addLink(emptyConfig(), {path: '/etc/hawser/enrolment.json', target: '/x'})],
  ['a link in place of its directory', addLink(emptyConfig(), {path: '/etc/hawser', target: '/x'})],
  ['a file in place of its directory', addFile(emptyConfig(), {path: '/etc/hawser', contents: ''})],
  [
    'a directory at its path',
    {...emptyConfig(), storage: {directories: [{path: '/etc/hawser/enrolment.json'}]}},
  ],
];
for (const [what, operatorConfig] of overrides) {
  test(`the operator cannot override the enrolment by ${what}`, t => {
    const error = t.throws(() => machineConfig({...input, operatorConfig}), {instanceOf: ConfigError});
    t.is(error?.code, 'reserved-path');
  });
}

test('a config that replaces the whole one is refused, since the machine could not enrol', t => {
  const operatorConfig = {
    ignition: {version: '3.3.0', config: {replace: {source: 'https://example.com/x.ign'}}},
  };
  const error = t.throws(() => machineConfig({...input, operatorConfig}), {instanceOf: ConfigError});
  t.is(error?.code, 'replaces-config');
});

test('what is merged in at boot cannot override the enrolment: it comes once more, after everything else', t => {
  const operatorConfig = {
    ignition: {version: '3.3.0', config: {merge: [{source: 'https://example.com/x.ign'}]}},
  };
  const config = machineConfig({...input, operatorConfig});
  const sources = config.ignition.config?.merge?.map(one => one.source ?? '') ?? [];
  t.is(sources.length, 2);
  t.is(sources[0], 'https://example.com/x.ign');
  const last = dataUrlBytes(sources[1] ?? '').toString();
  t.true(last.includes('/etc/hawser/enrolment.json'));
});

test('a name that cannot be a host name is refused', t => {
  const error = t.throws(() => machineConfig({...input, hostname: 'web_1'}), {instanceOf: ConfigError});
  t.is(error?.code, 'bad-hostname');
});
