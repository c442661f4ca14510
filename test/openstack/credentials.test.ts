/** The ways into a project: application credentials, tokens, and those of somebody else. */
import {Type} from 'typebox';
import {parseJson} from '../../services/common/parse.ts';
import {bench, lastLine, size, test} from './support/bench.ts';
import {accountOf, inventory, nothing, password} from './support/lab.ts';

test('application credentials and tokens enter too, and a project that is not its own is not looked in', async t => {
  const {operator, session} = await bench(t);
  const secret = 'quite-secret';
  const json = {application_credential: {name: `c-${Date.now()}`, secret, unrestricted: false}};
  const made = await keystone(session.authUrl, json);
  const credential = {
    OS_CLOUD: '',
    OS_AUTH_URL: session.authUrl,
    OS_APPLICATION_CREDENTIAL_ID: made.credential,
    OS_APPLICATION_CREDENTIAL_SECRET: secret,
  };
  const off = ['--openstack-ssh-address', '127.0.0.1:1', '--timeout', '1'];
  const created = await operator.run(['machine', 'create', 'cred', ...size, ...off], credential);
  t.regex(lastLine(created.stderr), /not finished/);
  t.is((await operator.run(['machine', 'status', 'cred'], credential)).stdout.trim(), 'Running');
  const other = {...credential, OS_APPLICATION_CREDENTIAL_SECRET: 'wrong'};
  t.is((await operator.run(['machine', 'rm', '-y', 'cred'], other)).code, 1);
  t.is((await operator.run(['machine', 'rm', '-y', 'cred'], credential)).code, 0);
  const token = {...accountVariables('hawser'), OS_TOKEN: made.token};
  t.is((await operator.run(['machine', 'create', 'tok', ...size, ...off], token)).code, 1);
  t.is((await operator.run(['machine', 'rm', '-y', 'tok'], token)).code, 0);
  t.deepEqual(await inventory(session), nothing);
});

function accountVariables(user: string): Record<string, string> {
  const {auth_url = '', project_name = ''} = accountOf(user);
  return {
    OS_CLOUD: '',
    OS_AUTH_URL: auth_url,
    OS_PROJECT_NAME: project_name,
    OS_PROJECT_DOMAIN_ID: 'default',
  };
}

/** Makes an application credential, with a token of the user. */
async function keystone(authUrl: string, json: object): Promise<{credential: string; token: string}> {
  const user = {name: 'hawser', domain: {id: 'default'}, password};
  const auth = {
    identity: {methods: ['password'], password: {user}},
    scope: {project: {name: 'hawser', domain: {id: 'default'}}},
  };
  const headers = {'content-type': 'application/json'};
  const entered = await fetch(`${authUrl}/auth/tokens`, {
    method: 'POST',
    headers,
    body: JSON.stringify({auth}),
  });
  const token = entered.headers.get('x-subject-token') ?? '';
  const Entered = Type.Object({token: Type.Object({user: Type.Object({id: Type.String()})})});
  const {id} = parseJson(Entered, await entered.text(), 'the token').token.user;
  const made = await fetch(`${authUrl}/users/${id}/application_credentials`, {
    method: 'POST',
    headers: {...headers, 'x-auth-token': token},
    body: JSON.stringify(json),
  });
  const Made = Type.Object({application_credential: Type.Object({id: Type.String()})});
  return {credential: parseJson(Made, await made.text(), 'the credential').application_credential.id, token};
}
