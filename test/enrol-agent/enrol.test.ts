import {mkdtemp, readdir, readFile, readlink, rm, stat, writeFile} from 'node:fs/promises';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {connect, createServer} from 'node:tls';
import test, {type ExecutionContext} from 'ava';
import {machineServerName} from '../../services/common/contracts/enrolment.ts';
import {grantMac} from '../../services/common/enrolment-mac.ts';
import {buildApp} from '../../services/provisioner/enrolment/app.ts';
import {
  bench,
  HOST_KEY,
  newKey,
  OTHER_HOST_KEY,
  refuses,
  requestOf,
  type Bench,
} from '../provisioner/enrolment/support.ts';
import {bootMachine, bundleAgent, type TestMachine} from './support.ts';

const shared = {folder: ''};
let bundle = '';

test.before(async () => {
  shared.folder = await mkdtemp(join(tmpdir(), 'hawser-enrol-bundle-'));
  bundle = await bundleAgent(shared.folder);
});
test.after.always(async () => {
  if (shared.folder !== '') await rm(shared.folder, {recursive: true, force: true});
});

async function pair(t: ExecutionContext, over: {lifetimeSeconds?: number} = {}) {
  const signer = await bench(t);
  const config = await signer.newMachine(over);
  return {signer, config, machine: await bootMachine(t, bundle, config)};
}

async function ok(
  t: ExecutionContext,
  machine: TestMachine,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const result = await machine.run(args, input);
  t.is(result.code, 0, result.stderr);
  return result.stdout;
}

async function fails(
  t: ExecutionContext,
  machine: TestMachine,
  args: readonly string[],
  input: string,
  says: RegExp,
) {
  const result = await machine.run(args, input);
  t.is(result.code, 1);
  t.regex(result.stderr, says);
  t.is(result.stderr.trimEnd().split('\n').length, 1, 'one line');
}

async function enrolByHand(t: ExecutionContext, signer: Bench, machine: TestMachine, uuid: string) {
  await ok(t, machine, ['request']);
  return carry(t, signer, machine, uuid);
}

/** The road over SSH, with processes in place of the connection. */
function carry(t: ExecutionContext, signer: Bench, machine: TestMachine, uuid: string) {
  return signer.enrolment.enrolByConsole(
    {
      hostKeySeen: HOST_KEY,
      readRequest: () => ok(t, machine, ['show']),
      sendGrant: async json => void (await ok(t, machine, ['accept'], json)),
    },
    {machine: uuid},
  );
}

interface Peer {
  readonly cert?: string;
  readonly key?: string;
}

/** Connects to a server that is set up as dockerd is; resolves with what the server thinks of the client. */
async function dial(
  t: ExecutionContext,
  machine: TestMachine,
  client: Peer & {ca: string; servername: string},
): Promise<string> {
  const {layout, read} = machine;
  const server = createServer(
    {
      key: await read(layout.key),
      cert: await read(layout.certificate),
      ca: await read(layout.clientCa),
      requestCert: true,
      rejectUnauthorized: true,
    },
    socket => socket.end(`hello ${String(socket.getPeerCertificate().subject.CN)}`),
  );
  server.on('tlsClientError', () => undefined);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const {port} = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    let text = '';
    connect({host: '127.0.0.1', port, ...client})
      .setEncoding('utf8')
      .on('data', chunk => (text += String(chunk)))
      .on('end', () => (text === '' ? reject(new Error('closed')) : resolve(text)))
      .on('error', reject);
  });
}

test('by hand: request, show, accept; then an operator and the machine know each other by mutual TLS', async t => {
  const {signer, config, machine} = await pair(t);
  const {layout, read} = machine;
  const grant = await enrolByHand(t, signer, machine, config.machine);

  t.is(await read(layout.certificate), grant.certificate);
  t.deepEqual(JSON.parse(await read(layout.enrolled)), {
    machine: config.machine,
    name: 'web-1',
    generation: 1,
  });
  await t.throwsAsync(() => stat(layout.config), {code: 'ENOENT'}, 'the token is gone');
  await t.throwsAsync(() => stat(layout.request), {code: 'ENOENT'});
  t.is((await stat(layout.key)).mode & 0o777, 0o600);
  t.is(await readlink(layout.dockerOptions), '/usr/lib/hawser/docker-tls.env');
  t.deepEqual(
    (await readdir(join(machine.root, 'etc/docker/tls'))).sort(),
    ['ca.pem', 'options.env', 'server-key.pem', 'server.pem'],
    'no temporary files',
  );

  const alice = await signer.enrolment.clientCertificate('alice');
  const servername = machineServerName(config.machine);
  t.is(await dial(t, machine, {...alice, servername}), 'hello alice');
  t.is(await dial(t, machine, {...alice, servername: 'localhost'}), 'hello alice');
  const wrongName = {...alice, servername: machineServerName('99999999-2222-3333-4444-555555555555')};
  await t.throwsAsync(() => dial(t, machine, wrongName), {code: 'ERR_TLS_CERT_ALTNAME_INVALID'});
  await t.throwsAsync(() => dial(t, machine, {ca: alice.ca, servername}), undefined, 'no certificate');
});

test("a machine's own certificate opens no other machine, and another fleet's operator opens none of ours", async t => {
  const {signer, config, machine} = await pair(t);
  await enrolByHand(t, signer, machine, config.machine);
  const stolenConfig = await signer.newMachine({name: 'web-2'});
  const stolen = await bootMachine(t, bundle, stolenConfig);
  await enrolByHand(t, signer, stolen, stolenConfig.machine);

  const ca = await signer.enrolment.caPem();
  const servername = machineServerName(config.machine);
  const thief = {
    cert: await stolen.read(stolen.layout.certificate),
    key: await stolen.read(stolen.layout.key),
  };
  await t.throwsAsync(() => dial(t, machine, {...thief, ca, servername}));
  const stranger = await (await bench(t)).enrolment.clientCertificate('alice');
  await t.throwsAsync(() => dial(t, machine, {...stranger, ca, servername}));
  await t.throwsAsync(() => dial(t, machine, {...stranger, servername}), {message: /certificate|issuer/});
});

async function serve(t: ExecutionContext, signer: Bench) {
  const tls = await signer.enrolment.serverCertificate([]);
  const app = buildApp(await signer.enrolment.deps(), {tls});
  t.teardown(() => app.close());
  await app.listen({host: '127.0.0.1', port: 0});
  const {port} = app.server.address() as AddressInfo;
  return {url: `https://127.0.0.1:${port}`, ca: await signer.enrolment.caPem()};
}

async function pairWithServer(t: ExecutionContext, over: {ca?: string; url?: string} = {}) {
  const signer = await bench(t);
  const server = {...(await serve(t, signer)), ...over};
  const first = await signer.newMachine();
  const {machine: uuid, name} = first;
  const config = await signer.enrolment.issue({
    machine: uuid,
    name,
    generation: 2,
    lifetimeSeconds: 600,
    server,
  });
  return {signer, server, config, machine: await bootMachine(t, bundle, config)};
}

test('by itself: one request to the server that it was told of, and the machine is enrolled', async t => {
  const {signer, server, config, machine} = await pairWithServer(t);
  t.is(await ok(t, machine, ['request', '--wait', '10']), '');
  t.deepEqual(JSON.parse(await machine.read(machine.layout.enrolled)), {
    machine: config.machine,
    name: 'web-1',
    generation: 2,
    server: server.url,
  });
  t.is(await machine.read(machine.layout.fleetCa), server.ca);
  t.is((await signer.enrolment.enrolled(config.machine))?.sshHostKey, HOST_KEY);
  const alice = await signer.enrolment.clientCertificate('alice');
  t.is(await dial(t, machine, {...alice, servername: machineServerName(config.machine)}), 'hello alice');
  t.is(await ok(t, machine, ['request']), '', 'again: nothing to do');
});

test('by itself: a server that another CA vouches for is told nothing, and Docker is not held up for ever', async t => {
  const foreign = await (await bench(t)).enrolment.caPem();
  const {signer, config, machine} = await pairWithServer(t, {ca: foreign});
  const result = await machine.run(['request', '--wait', '1']);
  t.is(result.code, 0);
  t.regex(
    result.stderr,
    /<4>the server did not answer within 1 s: UNABLE_TO_VERIFY_LEAF_SIGNATURE: .*over SSH/,
  );
  t.is(await signer.enrolment.enrolled(config.machine), undefined);
  await carry(t, signer, machine, config.machine);
});

test('by itself: a refusal is final and names its reason', async t => {
  const {signer, config, machine} = await pairWithServer(t);
  const thief = requestOf(config, newKey());
  await signer.enrolment.accept(JSON.stringify(thief), {hostKeySeen: HOST_KEY});
  await fails(
    t,
    machine,
    ['request', '--wait', '30'],
    '',
    /refused to enrol this machine \(409 token-used\)/,
  );
});

test('the key stays the same when the request is made again', async t => {
  const {machine} = await pair(t);
  await ok(t, machine, ['request']);
  const key = await machine.read(machine.layout.key);
  await ok(t, machine, ['request']);
  t.is(await machine.read(machine.layout.key), key);
  t.is((await stat(machine.layout.request)).mode & 0o777, 0o600);
});

test('accept does nothing the second time, and refuses another certificate then', async t => {
  const {signer, config, machine} = await pair(t);
  const grant = await enrolByHand(t, signer, machine, config.machine);
  await ok(t, machine, ['accept'], JSON.stringify(grant));
  const forged = {...grant, certificate: grant.ca};
  await fails(t, machine, ['accept'], JSON.stringify(forged), /enrolled with another certificate/);
  t.is(await machine.read(machine.layout.certificate), grant.certificate);
  await fails(t, machine, ['show'], '', /enrolled already/);
});

test('a grant that does not fit is refused and nothing is installed', async t => {
  const {signer, config, machine} = await pair(t);
  await ok(t, machine, ['request']);
  const request = await ok(t, machine, ['show']);
  const grant = await signer.enrolment.accept(request, {hostKeySeen: HOST_KEY});
  const sealed = (over: Partial<typeof grant>) => {
    const changed = {...grant, ...over};
    return JSON.stringify({...changed, mac: grantMac(config.token, changed)});
  };
  const otherConfig = await signer.newMachine({name: 'web-2'});
  const other = await signer.enrolment.accept(JSON.stringify(requestOf(otherConfig, newKey())), {
    hostKeySeen: HOST_KEY,
  });

  await fails(t, machine, ['accept'], 'nonsense', /not JSON/);
  await fails(t, machine, ['accept'], '', /not JSON/);
  await fails(t, machine, ['accept'], 'x'.repeat(70_000), /too long/);
  await fails(
    t,
    machine,
    ['accept'],
    JSON.stringify({...grant, mac: '0'.repeat(64)}),
    /not made by the holder/,
  );
  await fails(
    t,
    machine,
    ['accept'],
    JSON.stringify({...grant, ca: other.fleetCa}),
    /not made by the holder/,
  );
  await fails(t, machine, ['accept'], JSON.stringify(other), /another machine/);
  await fails(t, machine, ['accept'], sealed({generation: 2}), /another generation/);
  await fails(t, machine, ['accept'], sealed({certificate: other.certificate}), /not for this machine/);
  await fails(t, machine, ['accept'], sealed({certificate: 'PEM'}), /not for this machine/);
  await fails(t, machine, ['accept'], sealed({fleetCa: grant.ca}), /not for this machine/);
  t.deepEqual(await readdir(join(machine.root, 'etc/docker/tls')), ['server-key.pem']);
  await ok(t, machine, ['accept'], JSON.stringify(grant));
});

test('an installation that was cut off is done again, up to the last step', async t => {
  const {signer, config, machine} = await pair(t);
  const {layout} = machine;
  const grant = await enrolByHand(t, signer, machine, config.machine);
  await writeFile(layout.config, JSON.stringify(config));
  await rm(layout.fleetCa);
  await ok(t, machine, ['accept'], JSON.stringify(grant));
  t.is(await readFile(layout.fleetCa, 'utf8'), grant.fleetCa);
  await t.throwsAsync(() => stat(layout.config), {code: 'ENOENT'});
});

test('wait ends as soon as the grant has come, or with a warning when it has not', async t => {
  const {signer, config, machine} = await pair(t);
  const {stderr, code} = await machine.run(['wait', '--seconds', '0.3']);
  t.is(code, 0);
  t.regex(stderr, /^<4>not enrolled after 0.3 s/);

  const waiting = machine.run(['request', '--wait', '30']);
  const started = performance.now();
  while ((await machine.run(['show'])).code !== 0 && performance.now() - started < 20_000);
  const grant = await signer.enrolment.accept(await ok(t, machine, ['show']), {hostKeySeen: HOST_KEY});
  await ok(t, machine, ['accept'], JSON.stringify(grant));
  t.deepEqual({...(await waiting), argv: []}, {argv: [], code: 0, signal: null, stdout: '', stderr: ''});
  t.true(performance.now() - started < 25_000);
  t.is(config.generation, 1);
});

test('a machine that is to be enrolled anew waits for the new generation, and keeps its key', async t => {
  const {signer, config, machine} = await pair(t);
  await enrolByHand(t, signer, machine, config.machine);
  const key = await machine.read(machine.layout.key);
  const {machine: uuid, name} = config;
  const next = await signer.enrolment.issue({machine: uuid, name, generation: 2, lifetimeSeconds: 60});
  await writeFile(machine.layout.config, JSON.stringify(next));
  t.regex((await machine.run(['wait', '--seconds', '0'])).stderr, /not enrolled/);
  await enrolByHand(t, signer, machine, uuid);
  t.is(await machine.read(machine.layout.key), key);
  t.is(JSON.parse(await machine.read(machine.layout.enrolled)).generation, 2);
});

test('over SSH: expired, replayed, forged and intercepted requests of the real agent are refused', async t => {
  const {signer, config, machine} = await pair(t, {lifetimeSeconds: 60});
  await ok(t, machine, ['request']);
  const request = await ok(t, machine, ['show']);
  const accept = (json: string, hostKeySeen = HOST_KEY) => signer.enrolment.accept(json, {hostKeySeen});
  await refuses(t, 'host-key-mismatch', () => accept(request, OTHER_HOST_KEY));
  const guessed = {...config, token: 'A'.repeat(43)};
  await refuses(t, 'bad-mac', () => accept(JSON.stringify(requestOf(guessed, newKey()))));
  const otherKey = await bootMachine(t, bundle, config);
  await ok(t, otherKey, ['request']);
  const replayed = await ok(t, otherKey, ['show']);
  await accept(request);
  await refuses(t, 'token-used', () => accept(replayed));
  const late = await signer.newMachine({lifetimeSeconds: 60});
  signer.clock.advance(61);
  await refuses(t, 'token-expired', () => accept(JSON.stringify(requestOf(late, newKey()))));
});

test('bad input ends in one line that names the remedy', async t => {
  const {config} = await pair(t);
  await fails(t, await bootMachine(t, bundle), ['request'], '', /was not told to enrol/);
  await fails(
    t,
    await bootMachine(t, bundle, config, ''),
    ['request'],
    '',
    /not an SSH host key: start hawser-hostkey/,
  );
  await fails(t, await bootMachine(t, bundle, config), ['show'], '', /no request yet/);
  await fails(t, await bootMachine(t, bundle, config), ['accept', '--bogus'], '', /bogus/);
  await fails(t, await bootMachine(t, bundle, config), ['dance'], '', /usage: hawser-enrol/);
  const broken = await bootMachine(t, bundle, config);
  await ok(t, broken, ['request']);
  await writeFile(broken.layout.key, 'not a key');
  await fails(t, broken, ['request'], '', /not a private key: remove it/);
});

test('the bundle is one small file that needs no package', async t => {
  const text = await readFile(bundle, 'utf8');
  t.true(text.length < 40_000, `${text.length} bytes`);
  const imported = [...text.matchAll(/(?:from|import\()\s*"([^"]+)"/g)].map(match => match[1] ?? '');
  t.deepEqual(
    imported.filter(name => !name.startsWith('node:')),
    [],
  );
});
