import {createHash, createPublicKey, X509Certificate, type KeyObject} from 'node:crypto';
import {readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {grantMac} from '../../../services/common/enrolment-mac.ts';
import {openEnrolment} from '../../../services/provisioner/enrolment/index.ts';
import {bench, HOST_KEY, newKey, OTHER_HOST_KEY, refuses, requestOf} from './support.ts';

const atHome = {hostKeySeen: HOST_KEY};

test('a machine with its token gets a certificate for its key, sealed with the token', async t => {
  const {enrolment, newMachine} = await bench(t);
  const config = await newMachine();
  const key = newKey();
  t.is(await enrolment.enrolled(config.machine), undefined);
  const grant = await enrolment.accept(JSON.stringify(requestOf(config, key)), atHome, ['192.0.2.7']);

  const certificate = new X509Certificate(grant.certificate);
  t.true(certificate.checkPrivateKey(key));
  t.is(certificate.checkIP('192.0.2.7'), '192.0.2.7');
  t.is(grant.mac, grantMac(config.token, grant));
  t.is(grant.fleetCa, await enrolment.caPem());
  const {certificate: pem} = grant;
  t.deepEqual(await enrolment.enrolled(config.machine), {
    generation: 1,
    sshHostKey: HOST_KEY,
    certificate: pem,
  });
});

test('issuing again gives the same bytes, also from another process and after a time', async t => {
  const {home, clock, enrolment, newMachine} = await bench(t);
  const config = await newMachine();
  clock.advance(300);
  const other = await openEnrolment({home, clock});
  const {machine, name, generation} = config;
  const again = await other.issue({
    machine,
    name,
    generation,
    lifetimeSeconds: 9999,
    server: {url: 'https://x', ca: ''},
  });
  t.is(JSON.stringify(again), JSON.stringify(config));
  t.not((await enrolment.issue({machine, name, generation: 2, lifetimeSeconds: 60})).token, config.token);
});

test('a request that is sent again gets the same grant, even after the deadline', async t => {
  const {clock, enrolment, newMachine} = await bench(t);
  const config = await newMachine();
  const key = newKey();
  const first = await enrolment.accept(JSON.stringify(requestOf(config, key)), atHome);
  // A new request for the same key: ECDSA signatures differ each time.
  t.deepEqual(await enrolment.accept(JSON.stringify(requestOf(config, key)), atHome), first);
  clock.advance(10_000);
  t.deepEqual(await enrolment.accept(JSON.stringify(requestOf(config, key)), atHome), first);
});

test('a used token is refused to another key, and to the same key behind another host key', async t => {
  const {enrolment, newMachine} = await bench(t);
  const config = await newMachine();
  const key = newKey();
  await enrolment.accept(JSON.stringify(requestOf(config, key)), atHome);
  await refuses(t, 'token-used', () => enrolment.accept(JSON.stringify(requestOf(config, newKey())), atHome));
  const moved = requestOf(config, key, {sshHostKey: OTHER_HOST_KEY});
  await refuses(t, 'token-used', () =>
    enrolment.accept(JSON.stringify(moved), {hostKeySeen: OTHER_HOST_KEY}),
  );
});

test('of many machines that use one token at once exactly one is enrolled', async t => {
  const {home, clock, newMachine} = await bench(t);
  const config = await newMachine();
  const keys = Array.from({length: 8}, newKey);
  const outcomes = await Promise.allSettled(
    keys.map(async key =>
      (await openEnrolment({home, clock})).accept(JSON.stringify(requestOf(config, key)), atHome),
    ),
  );
  const codes = outcomes.map(each =>
    each.status === 'fulfilled' ? 'granted' : (each.reason as {code: string}).code,
  );
  t.deepEqual(codes.toSorted(), ['granted', ...Array.from({length: 7}, () => 'token-used')]);
});

test('an expired token, and one that a newer generation replaced, are refused', async t => {
  const {clock, enrolment, newMachine} = await bench(t);
  const config = await newMachine({lifetimeSeconds: 60});
  const other = await newMachine();
  const {machine, name} = other;
  await enrolment.issue({machine, name, generation: 2, lifetimeSeconds: 60});
  const send = (of: typeof config) => enrolment.accept(JSON.stringify(requestOf(of, newKey())), atHome);
  await refuses(t, 'token-expired', () => send(other));
  clock.advance(60);
  await refuses(t, 'token-expired', () => send(config));
});

test('a machine that was forgotten, or never issued a token, is unknown', async t => {
  const {enrolment, newMachine} = await bench(t);
  const config = await newMachine();
  const send = (of: typeof config) => enrolment.accept(JSON.stringify(requestOf(of, newKey())), atHome);
  await enrolment.forget(config.machine);
  await enrolment.forget(config.machine);
  await refuses(t, 'unknown-machine', () => send(config));
  await refuses(t, 'unknown-machine', () =>
    send({...config, machine: '99999999-2222-3333-4444-555555555555'}),
  );
});

test('over SSH, a request that came from behind another host key is refused before anything is signed', async t => {
  const {enrolment, newMachine} = await bench(t);
  const config = await newMachine();
  const honest = JSON.stringify(requestOf(config, newKey()));
  // Somebody in the middle who relays the machine's own request over a connection that he ends himself.
  await refuses(t, 'host-key-mismatch', () => enrolment.accept(honest, {hostKeySeen: OTHER_HOST_KEY}));
  await refuses(t, 'host-key-mismatch', () => enrolment.accept(honest, {hostKeySeen: ''}));
  // The same, having put his host key into the request.
  const forged = JSON.stringify({...requestOf(config, newKey()), sshHostKey: OTHER_HOST_KEY});
  await refuses(t, 'bad-mac', () => enrolment.accept(forged, {hostKeySeen: OTHER_HOST_KEY}));
  t.is(await enrolment.enrolled(config.machine), undefined);
});

test("over SSH, a machine that answers in another one's place is refused, and is sent nothing", async t => {
  const {enrolment, newMachine} = await bench(t);
  const meant = await newMachine();
  const other = await newMachine({name: 'web-2'});
  const sent: string[] = [];
  const consoleOf = (config: typeof meant, key: KeyObject) => ({
    hostKeySeen: HOST_KEY,
    readRequest: () => Promise.resolve(JSON.stringify(requestOf(config, key))),
    sendGrant: (json: string) => Promise.resolve(void sent.push(json)),
  });
  const {machine} = meant;
  await refuses(t, 'host-key-mismatch', () =>
    enrolment.enrolByConsole(consoleOf(other, newKey()), {machine}),
  );
  t.deepEqual(sent, []);
  const grant = await enrolment.enrolByConsole(consoleOf(meant, newKey()), {machine});
  t.deepEqual(sent, [JSON.stringify(grant)]);
});

for (const [defect, over] of Object.entries({
  'empty-mac': {mac: ''},
  'mac-of-zeroes': {mac: '0'.repeat(64)},
  'mac-in-capitals': {mac: 'A'.repeat(64)},
  'generation-as-text': {generation: '1'},
  'generation-zero': {generation: 0},
  'machine-with-path': {machine: '../../../etc/passwd'},
  'machine-missing': {machine: undefined},
  'csr-too-long': {csr: 'x'.repeat(8193)},
  'host-key-as-list': {sshHostKey: [HOST_KEY]},
})) {
  test(`a request is refused: ${defect}`, async t => {
    const {enrolment, newMachine} = await bench(t);
    const request = {...requestOf(await newMachine(), newKey()), ...over};
    const code = defect === 'mac-of-zeroes' ? 'bad-mac' : 'malformed';
    await refuses(t, code, () => enrolment.accept(JSON.stringify(request), atHome));
  });
}

test('an order that makes no sense is refused before anything is written', async t => {
  const {home, enrolment, newMachine} = await bench(t);
  await refuses(t, 'bad-name', () => newMachine({name: 'a b'}));
  await refuses(t, 'malformed', () => newMachine({lifetimeSeconds: 0}));
  await refuses(t, 'malformed', () => newMachine({lifetimeSeconds: 8 * 86_400}));
  const bad = {machine: '../x', name: 'm', generation: 1, lifetimeSeconds: 60};
  await refuses(t, 'malformed', () => enrolment.issue(bad));
  t.deepEqual(await readdir(join(home, 'enrolment')), ['token.key']);
});

test('a ledger entry that was damaged is reported, not overwritten', async t => {
  const {home, clock, enrolment, newMachine} = await bench(t);
  const config = await newMachine();
  const folder = join(home, 'enrolment', 'machines', config.machine);
  await writeFile(join(folder, '2.json'), '{"format":1');
  await refuses(t, 'store-broken', () => enrolment.enrolled(config.machine));
  await writeFile(join(home, 'enrolment', 'token.key'), 'short');
  await refuses(t, 'store-broken', () => openEnrolment({home, clock}));
});

test('the ledger holds no token and no private key', async t => {
  const {home, enrolment, newMachine} = await bench(t);
  const config = await newMachine();
  await enrolment.accept(JSON.stringify(requestOf(config, newKey())), atHome);
  const folder = join(home, 'enrolment', 'machines', config.machine);
  for (const name of await readdir(folder)) {
    const text = await readFile(join(folder, name), 'utf8');
    t.false(text.includes(config.token));
    t.notRegex(text, /PRIVATE KEY/);
  }
});

test('what is booked is the fingerprint of the key that was certified', async t => {
  const {home, enrolment, newMachine} = await bench(t);
  const config = await newMachine();
  const key = newKey();
  await enrolment.accept(JSON.stringify(requestOf(config, key)), atHome);
  const spki = createPublicKey(key).export({format: 'der', type: 'spki'});
  const path = join(home, 'enrolment', 'machines', config.machine, '2.json');
  t.true((await readFile(path, 'utf8')).includes(createHash('sha256').update(spki).digest('hex')));
});
