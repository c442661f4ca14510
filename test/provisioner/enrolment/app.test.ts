import type {AddressInfo} from 'node:net';
import {request as httpsRequest} from 'node:https';
import test from 'ava';
import {silentProgress} from '../../../services/common/progress.ts';
import {enrolCommands, parseListen} from '../../../services/provisioner/enrolment/commands.ts';
import {grantMac} from '../../../services/common/enrolment-mac.ts';
import {buildApp} from '../../../services/provisioner/enrolment/app.ts';
import {createRateLimiter} from '../../../services/provisioner/enrolment/rate-limit.ts';
import {bench, newKey, requestOf} from './support.ts';

const post = (payload: unknown) => ({method: 'POST', url: '/v1/enrol', payload: payload as object}) as const;

test('POST /v1/enrol answers with the grant, and with the same one again', async t => {
  const {enrolment, newMachine} = await bench(t);
  const app = buildApp(await enrolment.deps());
  const config = await newMachine();
  const key = newKey();
  const first = await app.inject(post(requestOf(config, key)));
  t.is(first.statusCode, 200, first.body);
  const grant = first.json();
  t.is(grant.mac, grantMac(config.token, grant));
  t.deepEqual((await app.inject(post(requestOf(config, key)))).json(), grant);
});

test('each refusal has its own status, and strangers learn nothing', async t => {
  const {clock, enrolment, newMachine} = await bench(t);
  const app = buildApp(await enrolment.deps());
  const config = await newMachine();
  const stranger = {...config, machine: '99999999-2222-3333-4444-555555555555'};
  const wrongMac = await app.inject(post({...requestOf(config, newKey()), mac: '0'.repeat(64)}));
  const unknown = await app.inject(post(requestOf(stranger, newKey())));
  t.is(wrongMac.statusCode, 401);
  t.is(unknown.statusCode, 401);
  t.is(unknown.body, wrongMac.body);

  await app.inject(post(requestOf(config, newKey())));
  const used = await app.inject(post(requestOf(config, newKey())));
  t.deepEqual([used.statusCode, used.json().kind], [409, 'token-used']);

  const late = await newMachine({lifetimeSeconds: 60});
  clock.advance(61);
  const expired = await app.inject(post(requestOf(late, newKey())));
  t.deepEqual([expired.statusCode, expired.json().kind], [410, 'token-expired']);

  const bad = await app.inject(post(requestOf(await newMachine(), newKey(), {csr: 'nonsense'})));
  t.deepEqual([bad.statusCode, bad.json().kind], [400, 'bad-csr']);
  t.is((await app.inject(post({machine: 1}))).statusCode, 400);
  t.is((await app.inject(post({...requestOf(config, newKey()), generation: '1'}))).statusCode, 400);
  t.is((await app.inject({...post('{'), headers: {'content-type': 'application/json'}})).statusCode, 400);
  t.is(
    (await app.inject(post({...requestOf(config, newKey()), extra: 'x'.repeat(65 * 1024)}))).statusCode,
    413,
  );
  clock.advance(60);
  t.is((await app.inject({method: 'GET', url: '/v1/machines'})).statusCode, 404);
});

test("GET /v1/ca gives the certificate of the fleet's CA and no key", async t => {
  const {enrolment} = await bench(t);
  const app = buildApp(await enrolment.deps());
  t.is((await app.inject({method: 'GET', url: '/v1/ca'})).body, await enrolment.caPem());
});

test('a caller who asks too often is told to wait, and only that caller', async t => {
  const {clock, enrolment} = await bench(t);
  const app = buildApp(await enrolment.deps());
  const ask = async (remoteAddress: string) =>
    (await app.inject({method: 'GET', url: '/v1/ca', remoteAddress})).statusCode;
  const codes = [];
  for (let count = 0; count < 12; count += 1) codes.push(await ask('192.0.2.1'));
  t.deepEqual(codes.slice(9), [200, 429, 429]);
  t.is(await ask('192.0.2.2'), 200);
  clock.advance(1);
  t.is(await ask('192.0.2.1'), 200);
});

test('the rate limiter remembers only so many callers', t => {
  const mayGoOn = createRateLimiter({burst: 1, perSecond: 0.001, callers: 2});
  t.deepEqual([mayGoOn('a', 0), mayGoOn('a', 0)], [true, false]);
  t.deepEqual([mayGoOn('b', 0), mayGoOn('c', 0)], [true, true]);
  t.true(mayGoOn('a', 0), 'forgotten, since two others came after it');
});

function get(port: number, ca: string, servername: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      {host: '127.0.0.1', port, path: '/v1/ca', ca, servername, agent: false},
      incoming => {
        let body = '';
        incoming
          .setEncoding('utf8')
          .on('data', chunk => (body += chunk))
          .on('end', () => resolve(body));
      },
    );
    outgoing.on('error', reject).end();
  });
}

test("over real TLS the server proves itself to whoever pins the fleet's CA, under its names only", async t => {
  const {enrolment} = await bench(t);
  const other = await bench(t);
  const tls = await enrolment.serverCertificate(['hawser.example.com']);
  const app = buildApp(await enrolment.deps(), {tls});
  t.teardown(() => app.close());
  await app.listen({host: '127.0.0.1', port: 0});
  const {port} = app.server.address() as AddressInfo;
  const ca = await enrolment.caPem();
  t.is(await get(port, ca, 'hawser.example.com'), ca);
  await t.throwsAsync(() => get(port, ca, 'other.example.com'), {code: 'ERR_TLS_CERT_ALTNAME_INVALID'});
  const foreignCa = await other.enrolment.caPem();
  await t.throwsAsync(() => get(port, foreignCa, 'hawser.example.com'), {message: /certificate|issuer/});
});

test('a wrong listening address is refused with an example', t => {
  t.deepEqual(parseListen('127.0.0.1:8443'), {host: '127.0.0.1', port: 8443});
  t.deepEqual(parseListen('[::1]:0'), {host: '::1', port: 0});
  for (const bad of ['', 'x', ':1', 'host:', 'host:65536', '::1:80', '[::1]']) {
    t.throws(() => parseListen(bad), {code: 'bad-value'}, bad);
  }
});

test('enrol serve answers on loopback with a certificate of the CA in its home, until it is told to stop', async t => {
  const {home, enrolment} = await bench(t);
  const ca = await enrolment.caPem();
  const stop = new AbortController();
  const serve = enrolCommands.find(({name}) => name === 'enrol serve');
  let answer: Promise<string> | undefined;
  const context = {
    progress: silentProgress,
    print: () => undefined,
    warn: (line: string) => {
      const port = /https:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      answer = get(Number(port), ca, 'localhost').finally(() => stop.abort());
    },
    env: {HAWSER_HOME: home},
    cwd: home,
    signal: stop.signal,
    interactive: false,
  };
  t.is(await serve?.run(context, {args: [], flags: new Map([['listen', '127.0.0.1:0']])}), 0);
  t.is(await answer, ca);
});
