/** What cannot work: each a line that names the remedy, and nothing half made. */
import {bench, lastLine, size, test} from './support/bench.ts';
import {enterLab, inventory, nothing, password} from './support/lab.ts';

test('a machine that the cloud cannot run is rolled back, with the reason that the cloud gives', async t => {
  const {operator, session} = await bench(t);
  const {code, stderr} = await operator.run([
    'machine',
    'create',
    'bad',
    '--openstack-flavor-name',
    'm1.nohost',
  ]);
  t.is(code, 1);
  t.regex(lastLine(stderr), /No valid host was found.*choose another flavor/);
  t.is(await operator.must(['machine', 'ls', '-q']), '');
  t.deepEqual(await inventory(session), nothing);
});

const refusals: ReadonlyArray<{
  readonly what: string;
  readonly words: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly says: RegExp;
}> = [
  {what: 'no flavor', words: [], says: /--openstack-flavor-name/},
  {what: 'an unknown flavor', words: ['--openstack-flavor-name', 'x'], says: /no flavor "x".*m1\.tiny/},
  {what: 'an unknown image', words: [...size, '--openstack-image-name', 'x'], says: /no image "x"/},
  {what: 'an unknown network', words: [...size, '--openstack-net-name', 'x'], says: /no network "x"/},
  {what: 'an unknown pool', words: [...size, '--openstack-floatingip-pool', 'x'], says: /"x".*public/},
  {
    what: 'more processors than the quota has',
    words: ['--openstack-flavor-name', 'm1.huge'],
    says: /32 processors.*needs 64 more.*quota/,
  },
  {
    what: 'a wrong password',
    words: size,
    env: badAccount({OS_PASSWORD: 'wrong'}),
    says: /authentication.*password/,
  },
  {what: 'no password', words: size, env: badAccount({}), says: /password is not known.*OS_PASSWORD/},
  {
    what: 'an API that does not answer',
    words: size,
    env: badAccount({OS_PASSWORD: password, OS_AUTH_URL: 'http://127.0.0.1:9'}),
    says: /127\.0\.0\.1:9 cannot be reached.*auth_url/,
  },
  {what: 'an unknown cloud', words: [...size, '--openstack-cloud', 'x'], says: /no cloud "x".*hawser/},
  {what: 'an unknown region', words: [...size, '--openstack-region', 'x'], says: /region "x".*RegionOne/},
  {what: 'a key pair', words: [...size, '--openstack-keypair-name', 'k'], says: /key of its own/},
  {what: 'a password in the command line', words: ['--openstack-password', 'p'], says: /OS_PASSWORD/},
];

/** Without a named cloud: by the variables of an openrc. */
function badAccount(over: Readonly<Record<string, string>>): Record<string, string> {
  return {
    OS_CLOUD: '',
    OS_AUTH_URL: 'http://127.0.0.1:5000/v3',
    OS_USERNAME: 'hawser',
    OS_PROJECT_NAME: 'hawser',
    ...over,
  };
}

test('what cannot work is said in one line with its remedy, and nothing is made', async t => {
  const {operator, session} = await bench(t);
  for (const {what, words, env, says} of refusals) {
    const {code, stderr} = await operator.run(['machine', 'create', 'no', ...words], env);
    t.true(code === 1 || code === 3, `${what}: exit code ${code}`);
    t.regex(lastLine(stderr), says, what);
  }
  t.is(await operator.must(['machine', 'ls', '-q']), '');
  t.deepEqual(await inventory(session), nothing);
});

test('a floating quota that is used up stops the creation before it begins', async t => {
  const {operator, session} = await bench(t);
  const admin = await enterLab(t, 'admin');
  const quota = (floatingip: number) =>
    admin.tell('network', {method: 'PUT', path: `/quotas/${session.projectId}`, json: {quota: {floatingip}}});
  t.teardown(() => quota(25));
  await quota(0);
  const words = ['machine', 'create', 'no', ...size, '--openstack-floatingip-pool', 'public'];
  const {code, stderr} = await operator.run(words);
  t.is(code, 3);
  t.regex(lastLine(stderr), /0 floating addresses.*quota/);
  t.deepEqual(await inventory(session), nothing);
});
