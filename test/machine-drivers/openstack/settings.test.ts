/** Flags to settings: docker-machine's words, and what cannot be meant. */
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {openstackFlags} from '../../../machine-drivers/drivers/openstack/flags.ts';
import {openstackDriver} from '../../../machine-drivers/drivers/openstack/index.ts';
import {configureOpenStack} from '../../../machine-drivers/drivers/openstack/settings.ts';
import {temporaryFolder} from '../support/runtime.ts';

type Values = Readonly<Record<string, string | number | boolean | readonly string[]>>;

const flavor = {'openstack-flavor-name': 'f'};

function configure(flags: Values, env: Readonly<Record<string, string>> = {OS_CLOUD: 'c'}, cwd = '/nowhere') {
  const {OS_CLOUD: cloud} = env;
  const given = new Map(Object.entries(cloud === undefined ? flags : {'openstack-cloud': cloud, ...flags}));
  return configureOpenStack(given, {cwd, env, paths: {home: '/h', cache: '/c'}});
}

/** docker-machine's, of its last release. */
const theirs = (
  'auth-url insecure cacert domain-id domain-name username password tenant-name tenant-id region ' +
  'availability-zone endpoint-type flavor-id flavor-name image-id image-name keypair-name private-key-file ' +
  'user-data-file net-id net-name sec-groups nova-network floatingip-pool ip-version ssh-user ssh-port ' +
  'active-timeout config-drive metadata'
).split(' ');

test("each of docker-machine's flags is taken, or refused with what to do instead", t => {
  for (const name of theirs) {
    const flag = openstackFlags.find(known => known.name === `openstack-${name}`);
    t.truthy(flag, name);
    t.true((flag?.refused ?? flag?.summary ?? '').length > 10, name);
  }
});

test('a named cloud is kept by its name, with what stands above it; an account without its password', async t => {
  const env = {OS_CLOUD: 'c', OS_REGION_NAME: 'R', OS_USERNAME: 'other', OS_PASSWORD: 'secret'};
  t.deepEqual((await configure({...flavor, 'openstack-project-name': 'p'}, env)).access, {
    cloud: 'c',
    options: {region_name: 'R', project_name: 'p'},
  });
  const {OS_CLOUD: _, ...account} = env;
  t.deepEqual((await configure(flavor, {...account, OS_AUTH_URL: 'http://k'})).access, {
    options: {auth_url: 'http://k', username: 'other', region_name: 'R'},
  });
});

test('the only cloud of clouds.yaml needs no name, of several one must be named', async t => {
  const cwd = await temporaryFolder(t);
  await t.throwsAsync(configure(flavor, {}, cwd), {code: 'bad-setting', message: /no cloud is named/});
  await writeFile(join(cwd, 'clouds.yaml'), 'clouds: {one: {}}');
  t.deepEqual((await configure(flavor, {}, cwd)).access, {cloud: 'one', options: {}});
  await writeFile(join(cwd, 'clouds.yaml'), 'clouds: {one: {}, two: {}}');
  const error = await t.throwsAsync(configure(flavor, {}, cwd), {code: 'bad-setting'});
  t.true('remedy' in error && String(error.remedy).includes('one, two'));
});

test('what is given becomes what is kept', async t => {
  const settings = await configure({
    ...flavor,
    'openstack-net-id': 'n',
    'openstack-sec-groups': 'a, b',
    'openstack-metadata': 'role,web,site,berlin',
    'openstack-allow-cidr': ['203.0.113.7/32', '2001:db8::/32'],
    'openstack-boot-volume-size': 20,
    'openstack-boot-volume-type': 'ssd',
    'openstack-ssh-address': '[::1]:2222',
    'openstack-docker-address': 'gate.example:2376',
    'openstack-floatingip-pool': 'public',
    'openstack-ip-version': 6,
  });
  t.like(settings, {
    flavor: {name: 'f'},
    network: {id: 'n'},
    groups: ['a', 'b'],
    metadata: {role: 'web', site: 'berlin'},
    volume: {gibibytes: 20, type: 'ssd'},
    sshAddress: {host: '::1', port: 2222},
    dockerAddress: {host: 'gate.example', port: 2376},
    floatingPool: 'public',
    ipVersion: 6,
  });
  const steps = (given: unknown) => openstackDriver.plan(given).map(step => step.name);
  t.deepEqual(steps(settings), ['lookup', 'port', 'server', 'floating-address']);
  t.deepEqual(steps(await configure(flavor)), ['lookup', 'security-group', 'port', 'server']);
});

const wrong: ReadonlyArray<readonly [string, Values]> = [
  ['two flavors', {...flavor, 'openstack-flavor-id': 'i'}],
  ['a network without its length', {...flavor, 'openstack-allow-cidr': ['203.0.113.7']}],
  ['a length that is too long', {...flavor, 'openstack-allow-cidr': ['203.0.113.7/33']}],
  ['a key without a value', {...flavor, 'openstack-metadata': 'role'}],
  ['a key of ours', {...flavor, 'openstack-metadata': 'hawser:uuid,x'}],
  ['an address without a port', {...flavor, 'openstack-ssh-address': '127.0.0.1'}],
  ['a port that is none', {...flavor, 'openstack-ssh-address': '127.0.0.1:0'}],
  ['a floating name', {...flavor, 'openstack-floating-ip': 'public'}],
  ['IPv5', {...flavor, 'openstack-ip-version': 5}],
  ['a volume type alone', {...flavor, 'openstack-boot-volume-type': 'ssd'}],
  ['no time at all', {...flavor, 'openstack-active-timeout': 0}],
];

for (const [what, flags] of wrong) {
  test(`${what} cannot be meant`, async t => {
    const error = await t.throwsAsync(configure(flags), {code: 'bad-setting'});
    t.true('remedy' in error && error.remedy !== undefined);
  });
}
