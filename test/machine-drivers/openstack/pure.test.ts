/** The pure parts of the OpenStack client and driver. */
import test from 'ava';
import {callerNetwork} from '../../../machine-drivers/drivers/openstack/caller.ts';
import {
  cloudAccess,
  fromEnvironment,
  secretVariables,
  variables,
} from '../../../machine-drivers/drivers/openstack/client/cloud-config.ts';
import {refusalError, refusalKind} from '../../../machine-drivers/drivers/openstack/client/errors.ts';
import {authRequest, readCatalogue} from '../../../machine-drivers/drivers/openstack/client/identity.ts';
import {retryDelay} from '../../../machine-drivers/drivers/openstack/client/retry.ts';
import {describeMark, readMark, serverTags} from '../../../machine-drivers/drivers/openstack/marks.ts';
import {machineState} from '../../../machine-drivers/drivers/openstack/state.ts';

const account = {
  auth_url: 'http://cloud:5000',
  username: 'u',
  password: 'secret',
  project_name: 'p',
  user_domain_name: 'd',
};

test('a user of a domain asks for a token of the project', t => {
  const access = cloudAccess({...account, project_domain_id: 'x'});
  t.is(access.authUrl, 'http://cloud:5000/v3');
  t.deepEqual(authRequest(access), {
    auth: {
      identity: {
        methods: ['password'],
        password: {user: {name: 'u', domain: {name: 'd'}, password: 'secret'}},
      },
      scope: {project: {name: 'p', domain: {id: 'x'}}},
    },
  });
});

test('an application credential asks for no scope, even when a project is named', t => {
  const access = cloudAccess({
    ...account,
    application_credential_id: 'i',
    application_credential_secret: 's',
  });
  t.deepEqual(authRequest(access), {
    auth: {
      identity: {
        methods: ['application_credential'],
        application_credential: {id: 'i', secret: 's'},
      },
    },
  });
  const named = cloudAccess({
    ...account,
    application_credential_name: 'n',
    application_credential_secret: 's',
  });
  t.like(authRequest(named), {
    auth: {identity: {application_credential: {name: 'n', user: {name: 'u', domain: {name: 'd'}}}}},
  });
});

test('a token is handed on with its scope', t => {
  const {password: _, ...rest} = account;
  t.like(authRequest(cloudAccess({...rest, token: 't'})), {
    auth: {identity: {methods: ['token'], token: {id: 't'}}, scope: {project: {name: 'p'}}},
  });
});

test("docker-machine's one domain is the user's and the project's; without any it is the default", t => {
  const {user_domain_name: _, ...rest} = account;
  t.like(cloudAccess({...rest, domain_name: 'one'}), {
    method: {user: {domain: {name: 'one'}}},
    project: {domain: {name: 'one'}},
  });
  t.like(cloudAccess(rest), {method: {user: {domain: {id: 'default'}}}, project: {domain: {id: 'default'}}});
});

test('old addresses of Keystone lead to version 3', t => {
  for (const url of [
    'https://c/identity',
    'https://c/identity/',
    'https://c/identity/v3/',
    'https://c/identity/v2.0',
  ])
    t.is(cloudAccess({...account, auth_url: url}).authUrl, 'https://c/identity/v3');
});

test('what is missing is named with its variable', t => {
  for (const [key, variable] of [
    ['auth_url', 'OS_AUTH_URL'],
    ['password', 'OS_PASSWORD'],
    ['username', 'OS_USERNAME'],
    ['project_name', 'OS_PROJECT_NAME'],
  ] as const) {
    const options = Object.fromEntries(Object.entries(account).filter(([name]) => name !== key));
    const error = t.throws(() => cloudAccess(options));
    t.true(error?.message.includes(key));
    t.true('remedy' in error && String(error.remedy).includes(variable));
  }
});

test('the words of tenants and of endpoint types are understood', t => {
  const env = {OS_TENANT_NAME: 'old', OS_ENDPOINT_TYPE: 'internalURL', OS_PASSWORD: 'w', OS_INSECURE: 'true'};
  const options = fromEnvironment(variables, env);
  t.deepEqual(options, {project_name: 'old', interface: 'internalURL', insecure: 'true'});
  t.deepEqual(fromEnvironment(secretVariables, env), {password: 'w'});
  const access = cloudAccess({...account, ...options});
  t.is(access.interface, 'internal');
  t.false(access.tls.verify);
});

const endpoint = (url: string, over: object = {}) => ({interface: 'public', region_id: 'R', url, ...over});
const token = {
  expires_at: '',
  user: {id: 'u', name: 'u'},
  catalog: [
    {type: 'compute', endpoints: [endpoint('http://n:8774/v2.1/project')]},
    {type: 'image', endpoints: [endpoint('http://g:9292')]},
    {
      type: 'network',
      endpoints: [endpoint('http://e:9696/'), endpoint('http://i:9696/v2.0', {interface: 'internal'})],
    },
  ],
};

test('the catalogue gives versioned addresses, by region and interface', t => {
  const catalogue = readCatalogue(token, {region: undefined, interface: 'public', endpoints: {}});
  t.is(catalogue.region, 'R');
  t.is(catalogue.url('compute'), 'http://n:8774/v2.1/project');
  t.is(catalogue.url('image'), 'http://g:9292/v2');
  t.is(catalogue.url('network'), 'http://e:9696/v2.0');
  const inner = readCatalogue(token, {
    region: 'R',
    interface: 'internal',
    endpoints: {compute: 'http://other/compute/v2/p'},
  });
  t.is(inner.url('network'), 'http://i:9696/v2.0');
  t.is(inner.url('compute'), 'http://other/compute/v2.1/p');
  const error = t.throws(() => inner.url('image'));
  t.true('remedy' in error && String(error.remedy).includes('public in R'));
  t.throws(() =>
    readCatalogue({...token, catalog: []}, {region: undefined, interface: 'public', endpoints: {}}),
  );
});

// Bodies as the services of the lab gave them.
const refusals = [
  [
    401,
    '{"error":{"code":401,"message":"The request you have made requires authentication.","title":"Unauthorized"}}',
    'unauthorized',
    'Unauthorized',
    'The request you have made requires authentication.',
  ],
  [
    409,
    '{"message":"Image status transition from active to saving is not allowed<br /><br />\\n\\n\\n","code":"409 Conflict","title":"Conflict"}',
    'conflict',
    'Conflict',
    'Image status transition from active to saving is not allowed',
  ],
  [
    403,
    '{"forbidden":{"code":403,"message":"Quota exceeded for cores, instances: Requested 9, 9, but already used 1, 1 of 8, 5 cores, instances"}}',
    'quota',
    'forbidden',
    'Quota exceeded for cores, instances: Requested 9, 9, but already used 1, 1 of 8, 5 cores, instances',
  ],
  [
    403,
    '{"forbidden":{"code":403,"message":"Policy doesn\'t allow os_compute_api:os-flavor-manage:create to be performed."}}',
    'forbidden',
    'forbidden',
    "Policy doesn't allow os_compute_api:os-flavor-manage:create to be performed.",
  ],
  [
    409,
    '{"NeutronError":{"type":"OverQuota","message":"Quota exceeded for resources: [\'floatingip\'].","detail":""}}',
    'quota',
    'OverQuota',
    "Quota exceeded for resources: ['floatingip'].",
  ],
  [
    400,
    '{"badRequest":{"code":400,"message":"Invalid input for field/attribute user_data. Value: c2VjcmV0 is not a \'base64\'"}}',
    'refused',
    'badRequest',
    'Invalid input for field/attribute user_data.',
  ],
  [502, '<html><body><h1>Bad Gateway</h1></body></html>', 'unavailable', '', 'Bad Gateway'],
] as const;

for (const [status, body, code, kind, message] of refusals) {
  test(`a refusal is understood: ${status} ${kind} ${message.slice(0, 20)}`, t => {
    const error = refusalError('GET /x', {status, body, requestId: 'req-1'});
    t.is(error.code, code);
    t.is(refusalKind(error), kind);
    t.is(error.message, `${message} (GET /x, req-1)`);
  });
}

test('what is worth another try, and when', t => {
  const now = new Date('2026-11-25T00:00:00Z');
  const answer = (status: number, retryAfter?: string) => ({kind: 'answer' as const, status, retryAfter});
  t.is(retryDelay('POST', 1, answer(429, '7'), now), 7000);
  t.is(retryDelay('POST', 1, answer(503, 'Wed, 25 Nov 2026 00:00:03 GMT'), now), 3000);
  t.is(retryDelay('POST', 1, answer(503, '100000'), now), 60_000);
  t.is(retryDelay('GET', 2, answer(504), now), 1000);
  t.is(retryDelay('POST', 1, answer(504), now), undefined);
  t.is(retryDelay('GET', 5, answer(503), now), undefined);
  t.is(retryDelay('GET', 1, answer(404), now), undefined);
  t.is(retryDelay('GET', 1, {kind: 'silence'}, now), 500);
  t.is(retryDelay('GET', 3, {kind: 'silence'}, now), undefined);
  t.is(retryDelay('POST', 1, {kind: 'silence'}, now), undefined);
});

test('a mark is read as it was written, and nothing else is one', t => {
  const uuid = '01234567-89ab-4def-8123-456789abcdef';
  const machine = {uuid, name: 'web.example-1', generation: 3};
  t.deepEqual(readMark(describeMark(machine, 'fleet')), {...machine, fleet: 'fleet'});
  for (const other of [undefined, '', 'my port', 'hawser fleet=x']) t.is(readMark(other), undefined);
  t.true(serverTags(uuid, uuid).every(tag => tag.length <= 60 && !/[/,]/.test(tag)));
});

test('this host is let in where its address is known, and else nobody is', t => {
  t.is(callerNetwork({local: '127.0.0.1', remote: '127.0.0.1'}, 4), '127.0.0.1/32');
  t.is(callerNetwork({local: '::ffff:10.0.0.7', remote: '::ffff:10.9.0.1'}, 4), '10.0.0.7/32');
  t.is(callerNetwork({local: '203.0.113.7', remote: '198.51.100.1'}, 4), '203.0.113.7/32');
  // behind an address translation
  t.is(callerNetwork({local: '192.168.1.2', remote: '198.51.100.1'}, 4), undefined);
  t.is(callerNetwork({local: '2001:db8::1', remote: '2001:db8::2'}, 4), undefined);
  t.is(callerNetwork({local: '2001:db8::1', remote: '2001:db8::2'}, 6), '2001:db8::1/128');
  t.is(callerNetwork({local: undefined, remote: undefined}, 4), undefined);
});

test("Nova's words in docker-machine's", t => {
  t.is(machineState('BUILD', null), 'Starting');
  t.is(machineState('ACTIVE', null), 'Running');
  t.is(machineState('ACTIVE', 'powering-off'), 'Stopping');
  t.is(machineState('ACTIVE', 'deleting'), 'Stopping');
  t.is(machineState('SHUTOFF', 'powering-on'), 'Starting');
  t.is(machineState('SHUTOFF', null), 'Stopped');
  t.is(machineState('SUSPENDED'), 'Saved');
  t.is(machineState('ERROR', 'spawning'), 'Error');
  t.is(machineState('SOFT_DELETED'), 'None');
});
