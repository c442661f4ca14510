/** The client of the server, against a real TLS server: refused, unreachable and broken are three things. */
import {createServer, type Server} from 'node:https';
import type {AddressInfo} from 'node:net';
import type {TLSSocket} from 'node:tls';
import test, {type ExecutionContext} from 'ava';
import {serverStableName} from '../../services/common/contracts/server.ts';
import {machineHttp} from '../../services/common/machine-http.ts';
import {httpServer} from '../../services/update-agent/adapters/server.ts';
import {checkRequest} from '../../services/update-agent/request.ts';
import {emptyRecord} from '../../services/update-agent/record.ts';
import {
  createCa,
  createLeafKey,
  loadSigner,
  signLeaf,
} from '../../services/provisioner/enrolment/certificates.ts';
import {rootHashOf} from './support.ts';

const validity = {notBefore: new Date('2020-01-01'), notAfter: new Date('2099-01-01')};
const request = checkRequest(
  emptyRecord(),
  {
    own: {version: '1.0.0', rootHash: rootHashOf('1.0.0')},
    slot: 'a',
    bootId: 'b',
    proven: true,
    trialEntry: () => 'gone',
    other: undefined,
  },
  {name: 'm', labels: {}, repositories: [], pollSeconds: 300, onDrainTimeout: 'wait', expectedSeconds: 600},
  'idle',
);

async function leaf(
  signer: Awaited<ReturnType<typeof loadSigner>>,
  commonName: string,
  use: 'server' | 'client',
) {
  const {key, publicKey} = await createLeafKey();
  // As our servers' certificates: no word of the address that is dialled.
  const names = use === 'server' ? {names: {dns: [serverStableName], ip: []}} : {};
  return {
    key,
    certificate: await signLeaf(signer, {commonName, publicKey, use: [use], ...validity, ...names}),
  };
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

async function bench(t: ExecutionContext) {
  const ca = await createCa('fleet', validity);
  const signer = await loadSigner(ca);
  const [mine, machine] = [await leaf(signer, 'server', 'server'), await leaf(signer, 'machine', 'client')];
  const state: {answer: Answer | 'cut'; readonly seen: {path: string; peer: string}[]} = {
    answer: {status: 200, body: {}},
    seen: [],
  };
  const server: Server = createServer(
    {key: mine.key, cert: mine.certificate, ca: ca.certificate, requestCert: true, rejectUnauthorized: true},
    (incoming, response) => {
      const socket = incoming.socket as TLSSocket;
      state.seen.push({path: incoming.url ?? '', peer: String(socket.getPeerCertificate().subject.CN)});
      incoming.resume();
      if (state.answer === 'cut') {
        incoming.socket.destroy();
        return;
      }
      response.writeHead(state.answer.status, {'content-type': 'application/json'});
      response.end(
        typeof state.answer.body === 'string' ? state.answer.body : JSON.stringify(state.answer.body),
      );
    },
  );
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as AddressInfo;
  const http = machineHttp({
    key: machine.key,
    certificate: machine.certificate,
    ca: ca.certificate,
    serverName: serverStableName,
  });
  t.teardown(() => {
    http.close();
    server.close();
  });
  return {state, port, ca, machine, client: httpServer(`https://localhost:${port}/base`, http)};
}

const poll = {pollSeconds: 60, eventsReceived: 4, reason: 'wave 1 of 2'};

test('a check: the answers, as the machine certificate, below the base address', async t => {
  const {client, state} = await bench(t);
  state.answer = {
    status: 200,
    body: {...poll, action: 'apply', version: '1.1.0', repositories: ['https://mirror/']},
  };
  t.deepEqual(await client.check(request), {
    event: {kind: 'answer-apply', version: '1.1.0', detail: 'wave 1 of 2'},
    pollSeconds: 60,
    eventsReceived: 4,
    repositories: ['https://mirror/'],
  });
  t.deepEqual(state.seen, [{path: '/base/v1/check', peer: 'machine'}]);
  state.answer = {status: 200, body: {...poll, action: 'none'}};
  t.like(await client.check(request), {event: {kind: 'answer-none'}});
});

test('a check that is refused, broken, or not answered', async t => {
  const {client, state, port} = await bench(t);
  for (const [status, body, kind] of [
    [403, {kind: 'other-machine', message: 'no'}, 'server-refused'],
    [429, {}, 'server-failed'],
    [503, 'down for maintenance', 'server-failed'],
    [200, 'not JSON', 'server-failed'],
    [200, {...poll, action: 'dance'}, 'server-failed'],
    [200, {...poll, action: 'apply'}, 'server-failed'],
    [200, {...poll, action: 'apply', version: 'newest'}, 'server-failed'],
    [200, 'x'.repeat(2 * 1024 * 1024), 'server-unreachable'],
  ] as const) {
    state.answer = {status, body};
    t.is((await client.check(request)).event.kind, kind, `${status} ${JSON.stringify(body).slice(0, 60)}`);
  }
  state.answer = 'cut';
  const {event} = await client.check(request);
  t.is(event.kind, 'server-unreachable');
  t.regex('detail' in event ? event.detail : '', new RegExp(`localhost:${port} does not answer`));
});

test('a server of another CA is nobody', async t => {
  const {port, machine} = await bench(t);
  const other = await createCa('another fleet', validity);
  const http = machineHttp({
    key: machine.key,
    certificate: machine.certificate,
    ca: other.certificate,
    serverName: serverStableName,
  });
  t.teardown(() => http.close());
  const {event} = await httpServer(`https://localhost:${port}/`, http).check(request);
  t.is(event.kind, 'server-unreachable');
});

test('a server of our CA with another name is not the one meant', async t => {
  const {port, machine, ca} = await bench(t);
  const {key, certificate} = machine;
  const http = machineHttp({key, certificate, ca: ca.certificate, serverName: 'other.example'});
  t.teardown(() => http.close());
  const {event} = await httpServer(`https://localhost:${port}/`, http).check(request);
  t.is(event.kind, 'server-unreachable');
  t.regex('detail' in event ? event.detail : '', /ERR_TLS_CERT_ALTNAME_INVALID/);
});

test('the lock: granted, refused and at fault are told apart; nothing but 200 is a grant', async t => {
  const {client, state} = await bench(t);
  const ask = () => client.acquire({from: '1.0.0', to: '1.1.0', expectedSeconds: 60, clusters: []});
  state.answer = {status: 200, body: {group: 'web', fence: '12', deadline: '2026-11-24T00:00:00Z'}};
  t.deepEqual(await ask(), {kind: 'lock-granted', fence: '12'});
  state.answer = {status: 409, body: {kind: 'quorum', message: 'two of three', holders: []}};
  t.deepEqual(await ask(), {kind: 'lock-refused', refusal: 'quorum', detail: 'two of three'});
  for (const [status, body, kind] of [
    [200, {}, 'lock-failed'],
    [409, {kind: 'because'}, 'lock-failed'],
    [204, '', 'lock-failed'],
    [503, {kind: 'no-store', message: 'etcd is away'}, 'lock-failed'],
    [403, {}, 'lock-failed'],
  ] as const) {
    state.answer = {status, body};
    t.is((await ask()).kind, kind);
  }
  state.answer = 'cut';
  t.is((await ask()).kind, 'lock-unreachable');
});

test('a fence that is no longer ours', async t => {
  const {client, state} = await bench(t);
  state.answer = {status: 409, body: {kind: 'fenced', message: 'slot 1 is another machine’s'}};
  t.like(await client.phase({fence: '12', phase: 'rebooting'}), {kind: 'lock-lost'});
  t.like(await client.release({version: '1.1.0', healthy: true}), {kind: 'lock-lost'});
  state.answer = {status: 200, body: {}};
  t.deepEqual(await client.phase({fence: '12', phase: 'rebooting'}), {kind: 'lock-confirmed'});
  t.deepEqual(await client.release({fence: '12', version: '1.1.0', healthy: true}), {kind: 'lock-released'});
});
