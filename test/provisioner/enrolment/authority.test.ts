import {createPrivateKey, generateKeyPairSync, X509Certificate} from 'node:crypto';
import {readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {exec} from '../../../services/common/exec.ts';
import {createCsr} from '../../../services/enrol-agent/csr.ts';
import {openAuthority} from '../../../services/provisioner/enrolment/authority.ts';
import {manualClock, newKey, refuses, tempFolder} from './support.ts';

const MACHINE = '11111111-2222-3333-4444-555555555555';
const DAY = 86_400_000;

async function openssl(...args: string[]): Promise<string> {
  return (await exec(['openssl', ...args], {timeoutMs: 20_000})).stdout;
}

async function authorityIn(t: ExecutionContext) {
  const home = await tempFolder(t);
  const clock = manualClock();
  return {home, clock, authority: await openAuthority({home, clock})};
}

test('a machine gets our names for its key, whatever its request asks for', async t => {
  const {home, authority, clock} = await authorityIn(t);
  const keyFile = join(home, 'k.pem');
  const csr = await openssl(
    ...'req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=evil.example.com'.split(' '),
    ...'-addext subjectAltName=DNS:evil.example.com -addext basicConstraints=critical,CA:TRUE'.split(' '),
    '-keyout',
    keyFile,
  );
  const key = await authority.prove(csr);
  const pem = await authority.signMachine({key, machine: MACHINE, name: 'web-1', extraNames: ['10.1.2.3']});
  const certificate = new X509Certificate(pem);

  t.is(certificate.subject, 'CN=web-1');
  t.is(
    certificate.subjectAltName,
    `DNS:${MACHINE}.machine.hawser.internal, DNS:web-1, DNS:localhost, ` +
      'IP Address:10.1.2.3, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
  );
  t.false(certificate.ca);
  t.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  t.true(certificate.checkPrivateKey(createPrivateKey(await readFile(keyFile))));
  t.true(certificate.verify(new X509Certificate(authority.fleetCa).publicKey));
  t.regex(certificate.serialNumber, /^[0-9A-F]{26,32}$/);
  const lifetime = new Date(certificate.validTo).getTime() - new Date(certificate.validFrom).getTime();
  t.is(lifetime, 398 * DAY);
  t.true(new Date(certificate.validFrom) < clock.now());

  const leaf = join(home, 'leaf.pem');
  await writeFile(leaf, pem);
  const chain = ['verify', '-x509_strict', '-CAfile', join(home, 'ca', 'ca.pem')];
  t.regex(await openssl(...chain, '-purpose', 'sslserver', leaf), /OK/);
});

test("a machine's certificate does not pass where operators' certificates are asked for, nor the other way", async t => {
  const {home, authority} = await authorityIn(t);
  const key = await authority.prove(createCsr(newKey(), 'x'));
  const leaf = join(home, 'leaf.pem');
  await writeFile(leaf, await authority.signMachine({key, machine: MACHINE, name: 'm', extraNames: []}));
  const operators = join(home, 'ca', 'operators-ca.pem');
  await t.throwsAsync(() => openssl('verify', '-CAfile', operators, leaf));

  const client = await authority.clientCertificate('alice');
  const cert = join(client.folder, 'cert.pem');
  t.regex(await openssl('verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', operators, cert), /OK/);
  await t.throwsAsync(() => openssl('verify', '-CAfile', join(home, 'ca', 'ca.pem'), cert));
  await t.throwsAsync(() => openssl('verify', '-purpose', 'sslserver', '-CAfile', operators, cert));
});

for (const [kind, options] of Object.entries({
  'P-256': ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'P-384': ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  Ed25519: ['ed25519'],
  'RSA 2048': ['rsa:2048'],
})) {
  test(`a key is signed: ${kind}`, async t => {
    const {home, authority} = await authorityIn(t);
    const csr = await openssl(
      'req',
      '-new',
      '-newkey',
      ...options,
      '-nodes',
      '-keyout',
      join(home, 'k'),
      '-subj',
      '/CN=x',
    );
    const key = await authority.prove(csr);
    const pem = await authority.signMachine({key, machine: MACHINE, name: 'm', extraNames: []});
    t.true(new X509Certificate(pem).verify(new X509Certificate(authority.fleetCa).publicKey));
  });
}

for (const [defect, options] of Object.entries({
  'RSA of 1024 bits': ['rsa:1024'],
  'RSA with exponent 3': ['rsa:2048', '-pkeyopt', 'rsa_keygen_pubexp:3'],
  'P-224': ['ec', '-pkeyopt', 'ec_paramgen_curve:secp224r1'],
  secp256k1: ['ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'],
  Ed448: ['ed448'],
})) {
  test(`a key is refused: ${defect}`, async t => {
    const {home, authority} = await authorityIn(t);
    const csr = await openssl(
      'req',
      '-new',
      '-newkey',
      ...options,
      '-nodes',
      '-keyout',
      join(home, 'k'),
      '-subj',
      '/CN=x',
    );
    await refuses(t, 'weak-key', () => authority.prove(csr));
  });
}

/** The request of one key with the public key of another put in: the signature is then by the wrong key. */
function foreignKeyCsr(): string {
  const der = (pem: string) => Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  const mine = der(createCsr(newKey(), 'x'));
  const spki = generateKeyPairSync('ec', {namedCurve: 'P-256'}).publicKey.export({
    format: 'der',
    type: 'spki',
  });
  const at = mine.indexOf(spki.subarray(0, 26));
  spki.copy(mine, at);
  return `-----BEGIN CERTIFICATE REQUEST-----\n${mine.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
}

const goodCsr = createCsr(newKey(), 'x');
for (const [defect, csr] of Object.entries({
  empty: '',
  'not PEM': 'hello',
  'not DER': '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n',
  'cut short': `${goodCsr.slice(0, 200)}\n-----END CERTIFICATE REQUEST-----\n`,
  'two requests': goodCsr + goodCsr,
  'a private key': String(newKey().export({format: 'pem', type: 'pkcs8'})),
  'signed by another key': foreignKeyCsr(),
})) {
  test(`a certificate request is refused: ${defect}`, async t => {
    const {authority} = await authorityIn(t);
    await refuses(t, 'bad-csr', () => authority.prove(csr));
  });
}

test('processes that open a new home at once end with one CA and one token key', async t => {
  const home = await tempFolder(t);
  const index = new URL('../../../services/provisioner/enrolment/index.ts', import.meta.url).href;
  const clock = new URL('../../../services/common/clock.ts', import.meta.url).href;
  const script = `
    const {openEnrolment} = await import(${JSON.stringify(index)});
    const {systemClock} = await import(${JSON.stringify(clock)});
    const e = await openEnrolment({home: ${JSON.stringify(home)}, clock: systemClock});
    const order = {machine: '${MACHINE}', name: 'm', generation: 1, lifetimeSeconds: 60};
    const client = await e.clientCertificate('alice');
    console.log(JSON.stringify([await e.caPem(), (await e.issue(order)).token, client.cert]));`;
  const argv = [process.execPath, '--input-type=module', '-e', script];
  const runs = await Promise.all([1, 2, 3, 4].map(() => exec(argv, {timeoutMs: 60_000})));
  t.is(new Set(runs.map(run => run.stdout)).size, 1);
  t.deepEqual((await readdir(home)).sort(), ['ca', 'enrolment', 'operators']);
});

test('folders are 0700 and every file in them 0600', async t => {
  const {home, authority} = await authorityIn(t);
  await authority.clientCertificate('alice');
  for (const name of await readdir(home, {recursive: true})) {
    const found = await stat(join(home, name));
    t.is(found.mode & 0o777, found.isDirectory() ? 0o700 : 0o600, name);
  }
});

test("an operator's certificate is kept, and made again when it runs out", async t => {
  const {authority, clock} = await authorityIn(t);
  const first = await authority.clientCertificate('alice');
  t.deepEqual(await authority.clientCertificate('alice'), first);
  clock.advance((397 - 29) * 86_400);
  const renewed = await authority.clientCertificate('alice');
  t.not(renewed.cert, first.cert);
  t.is(renewed.folder, first.folder);
  t.is(await readFile(join(renewed.folder, 'cert.pem'), 'utf8'), renewed.cert);
  await refuses(t, 'bad-name', () => authority.clientCertificate('../alice'));
});

test("a CA that lost a file, or whose key is another's, is not replaced but reported", async t => {
  const {home, clock} = await authorityIn(t);
  const key = join(home, 'ca', 'ca-key.pem');
  await writeFile(key, newKey().export({format: 'pem', type: 'pkcs8'}));
  await refuses(t, 'broken-ca', () => openAuthority({home, clock}));
  await rm(key);
  await refuses(t, 'broken-ca', () => openAuthority({home, clock}));
  t.deepEqual((await readdir(join(home, 'ca'))).sort(), [
    'ca.pem',
    'operators-ca-key.pem',
    'operators-ca.pem',
  ]);
});

test('nothing outlives the CA, and a CA that has ended signs nothing', async t => {
  const {home, clock, authority} = await authorityIn(t);
  const end = new Date(new X509Certificate(authority.fleetCa).validTo);
  clock.advance(3600 * 86_400);
  const key = await authority.prove(createCsr(newKey(), 'x'));
  const pem = await authority.signMachine({key, machine: MACHINE, name: 'm', extraNames: []});
  t.deepEqual(new Date(new X509Certificate(pem).validTo), end);
  clock.advance(60 * 86_400);
  await refuses(t, 'ca-expired', () => openAuthority({home, clock}));
});
