/** The client against a small server on the wire: what a healthy cloud does not show on demand. */
import {chmod, mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import test from 'ava';
import type {ExecutionContext} from 'ava';
import {Type} from 'typebox';
import type {Clock} from '../../../services/common/clock.ts';
import {exec} from '../../../services/common/exec.ts';
import {cloudAccess} from '../../../machine-drivers/drivers/openstack/client/cloud-config.ts';
import {cloudNames, readCloud} from '../../../machine-drivers/drivers/openstack/client/clouds-file.ts';
import {serversByTag} from '../../../machine-drivers/drivers/openstack/client/compute.ts';
import {uploadImage} from '../../../machine-drivers/drivers/openstack/client/images.ts';
import {openSession} from '../../../machine-drivers/drivers/openstack/client/session.ts';
import {temporaryFolder} from '../support/runtime.ts';
import {startWire} from './wire.ts';
import type {Answer, Reply} from './wire.ts';

/** Time passes when it is slept for. */
function fakeClock(): Clock & {readonly slept: number[]} {
  const slept: number[] = [];
  return {
    slept,
    now: () => new Date(slept.reduce((sum, ms) => sum + ms, 0)),
    sleep: ms => {
      slept.push(ms);
      return Promise.resolve();
    },
  };
}

const {signal} = new AbortController();
const account = {username: 'u', password: 'p', project_name: 'project'};
const anything = Type.Object({});
const ping = {method: 'GET', path: '/ping'} as const;

async function enter(
  t: ExecutionContext,
  answer: Answer,
  options: Readonly<Record<string, string>> = account,
) {
  const wire = await startWire(t, answer);
  const clock = fakeClock();
  const session = await openSession(cloudAccess({...options, auth_url: wire.url}), {clock, signal});
  t.teardown(() => session[Symbol.dispose]());
  return {wire, clock, session};
}

/** Answers in their order, the last one for ever. */
function inTurn(...replies: readonly Reply[]): Answer {
  let at = 0;
  return () => replies[Math.min(at++, replies.length - 1)] ?? {status: 500};
}

const ok: Reply = {status: 200, json: {}};

test('a token that was refused is replaced once, and the call made again', async t => {
  const {wire, session} = await enter(t, ({headers}) =>
    headers['x-auth-token'] === 'token-1' ? {status: 401, json: {}} : ok,
  );
  await Promise.all([session.ask('compute', ping, anything), session.ask('network', ping, anything)]);
  t.is(wire.seen.filter(({line}) => line.endsWith('/auth/tokens')).length, 2);
  await session.ask('compute', ping, anything);
  t.is(wire.lines().length, 5);
});

test('credentials that stay refused are an error, not a loop', async t => {
  const {wire, session} = await enter(t, () => ({status: 401, json: {}}));
  await t.throwsAsync(session.ask('compute', ping, anything), {code: 'unauthorized'});
  t.is(wire.lines().length, 2);
});

test('a given token is not asked for anew', async t => {
  const {wire, session} = await enter(t, () => ({status: 401, json: {}}), {token: 't', project_id: 'p'});
  await t.throwsAsync(session.ask('compute', ping, anything), {code: 'unauthorized'});
  t.is(wire.lines().length, 1);
});

test('Retry-After is waited for, also before a POST is sent again', async t => {
  const {clock, session} = await enter(t, inTurn({status: 429, headers: {'retry-after': '3'}}, ok));
  await session.tell('compute', {method: 'POST', path: '/servers', json: {}});
  t.deepEqual(clock.slept, [3000]);
});

test('a connection that breaks is tried again for a question, not for a change', async t => {
  const {wire, session} = await enter(t, inTurn({status: 0, hangUp: true}, ok));
  await session.ask('compute', ping, anything);
  t.is(wire.lines().length, 2);
  const {wire: other, session: second} = await enter(t, () => ({status: 0, hangUp: true}));
  await t.throwsAsync(second.tell('compute', {method: 'POST', path: '/servers', json: {}}), {
    code: 'unreachable',
  });
  t.is(other.lines().length, 1);
});

test('pages are read to their end, from behind the last of each', async t => {
  const server = (id: string) => ({
    id,
    name: id,
    status: 'ACTIVE',
    created: '2026-11-25T00:00:00Z',
    addresses: {},
    metadata: {},
  });
  const more = [{rel: 'next', href: 'http://another.host/servers?marker=b'}];
  const {wire, session} = await enter(
    t,
    inTurn(
      {status: 200, json: {servers: [server('a'), server('b')], servers_links: more}},
      {status: 200, json: {servers: [server('c')]}},
    ),
  );
  t.deepEqual(
    (await serversByTag(session, 'x')).map(({id}) => id),
    ['a', 'b', 'c'],
  );
  t.deepEqual(wire.lines(), [
    'GET /compute/v2.1/servers/detail?tags=x',
    'GET /compute/v2.1/servers/detail?tags=x&marker=b',
  ]);
  t.is(wire.seen.at(-1)?.headers['openstack-api-version'], 'compute 2.52');
});

test('an upload carries its length, and is not repeated when it breaks off', async t => {
  const {wire, session} = await enter(t, inTurn({status: 204}, {status: 504}));
  const upload = {open: () => Readable.from([Buffer.from('disk')]), length: 4};
  await uploadImage(session, 'i', upload);
  t.like(wire.seen.at(-1), {line: 'PUT /image/v2/images/i/file', body: 'disk'});
  t.is(wire.seen.at(-1)?.headers['content-length'], '4');
  await t.throwsAsync(uploadImage(session, 'i', upload), {code: 'unavailable'});
  t.is(wire.lines().length, 2);
});

test('a cloud with an authority of its own is trusted when it is named, or when told not to look', async t => {
  const folder = await temporaryFolder(t);
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const subject = ['-subj', '/CN=cloud', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  const make = ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await exec([...make, '-keyout', key, '-out', cert, ...subject], {timeoutMs: 30_000});
  const wire = await startWire(t, () => ok, {tls: {cert, key}});
  const open = async (options: Readonly<Record<string, string>>) => {
    const access = cloudAccess({...account, ...options, auth_url: wire.url});
    using session = await openSession(access, {clock: fakeClock(), signal});
    await session.ask('image', ping, anything);
  };
  const error = await t.throwsAsync(open({}), {code: 'unreachable'});
  t.true('remedy' in error && String(error.remedy).includes('OS_CACERT'));
  await t.notThrowsAsync(open({cacert: cert}));
  await t.notThrowsAsync(open({verify: 'false'}));
  await t.throwsAsync(open({cacert: join(folder, 'none.pem')}), {code: 'bad-cloud-config'});
});

test('nobody there is said at once', async t => {
  const access = cloudAccess({...account, auth_url: 'http://127.0.0.1:1'});
  await t.throwsAsync(openSession(access, {clock: fakeClock(), signal}), {code: 'unreachable'});
});

const clouds = `clouds:
  one:
    profile: vendor
    auth: {username: u, project_name: p}
    regions: [{name: R}]
    cacert: ~/ca.pem
    verify: false
  two: {auth: {auth_url: http://two}}
`;

test('clouds.yaml is found, with what is secret and what is the vendor beside it', async t => {
  const home = await temporaryFolder(t);
  const folder = join(home, '.config', 'openstack');
  await mkdir(folder, {recursive: true});
  await writeFile(join(folder, 'clouds.yaml'), clouds);
  await writeFile(join(folder, 'secure.yaml'), 'clouds: {one: {auth: {password: secret}}}');
  await writeFile(
    join(folder, 'clouds-public.yaml'),
    'public-clouds: {vendor: {auth: {auth_url: http://vendor, username: nobody}}}',
  );
  const env = {HOME: home};
  t.deepEqual(await cloudNames(env, home), ['one', 'two']);
  t.deepEqual(await readCloud('one', env, home), {
    auth_url: 'http://vendor',
    username: 'u',
    project_name: 'p',
    password: 'secret',
    region_name: 'R',
    profile: 'vendor',
    cacert: join(home, 'ca.pem'),
    verify: 'false',
  });
  const error = await t.throwsAsync(readCloud('three', env, home), {code: 'bad-cloud-config'});
  t.true('remedy' in error && String(error.remedy).includes('one, two'));
});

test('a clouds.yaml that cannot be used is named, without what it says', async t => {
  const home = await temporaryFolder(t);
  const path = join(home, 'mine.yaml');
  const env = {OS_CLIENT_CONFIG_FILE: path};
  t.deepEqual(await cloudNames(env, home), []);
  await writeFile(path, 'clouds: {one: {auth: {password: "sesame');
  const error = await t.throwsAsync(readCloud('one', env, home), {code: 'bad-cloud-config'});
  t.true(error.message.includes(path));
  t.false(JSON.stringify([error.message, error]).includes('sesame'));
  await chmod(path, 0o600);
});
