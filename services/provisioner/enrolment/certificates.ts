/** Builds X.509 certificates. Knows formats and extensions (RFC 5280), not who may have which certificate. */
import 'reflect-metadata';
import {
  createPrivateKey,
  createPublicKey,
  randomBytes,
  webcrypto,
  X509Certificate as Parsed,
} from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type {ProvenKey} from './csr.ts';
import type {CertificateNames} from './names.ts';

const CURVE = {name: 'ECDSA', namedCurve: 'P-256'} as const;
const SIGNATURE = {name: 'ECDSA', hash: 'SHA-256'} as const;

export interface KeyAndCertificate {
  /** PKCS#8, PEM. */
  readonly key: string;
  /** PEM. */
  readonly certificate: string;
}

/** Who signs: the CA's certificate and private key. */
export interface Signer {
  readonly certificate: x509.X509Certificate;
  readonly key: webcrypto.CryptoKey;
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface Leaf extends Validity {
  readonly commonName: string;
  readonly publicKey: Pick<ProvenKey, 'spki' | 'kind'>;
  readonly names?: CertificateNames;
  readonly use: readonly ('server' | 'client')[];
}

/** Makes a new CA that signs leaves only (path length 0). */
export async function createCa(commonName: string, validity: Validity): Promise<KeyAndCertificate> {
  const keys = await webcrypto.subtle.generateKey(CURVE, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: [{CN: [commonName]}],
    ...validity,
    keys,
    signingAlgorithm: SIGNATURE,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {key: await exportKey(keys.privateKey), certificate: pem(certificate)};
}

/** Reads what {@link createCa} made; throws when the two halves do not belong together or the key is not P-256. */
export async function loadSigner(ca: KeyAndCertificate): Promise<Signer> {
  const parsed = new Parsed(ca.certificate);
  if (!parsed.ca) throw new Error('the certificate is not a CA');
  const key = createPrivateKey(ca.key);
  if (!parsed.checkPrivateKey(key)) throw new Error('key and certificate do not belong together');
  const pkcs8 = key.export({format: 'der', type: 'pkcs8'});
  return {
    certificate: new x509.X509Certificate(parsed.raw),
    key: await webcrypto.subtle.importKey('pkcs8', pkcs8, CURVE, false, ['sign']),
  };
}

/** Signs a certificate that can sign nothing further; returns PEM. */
export async function signLeaf(signer: Signer, leaf: Leaf): Promise<string> {
  const publicKey = new x509.PublicKey(leaf.publicKey.spki);
  const {names} = leaf;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: [{CN: [leaf.commonName]}],
    issuer: signer.certificate.subjectName,
    notBefore: leaf.notBefore,
    notAfter: leaf.notAfter,
    signingKey: signer.key,
    signingAlgorithm: SIGNATURE,
    publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      keyUsage(leaf.publicKey.kind),
      new x509.ExtendedKeyUsageExtension(
        leaf.use.map(use =>
          use === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth,
        ),
      ),
      ...(names === undefined ? [] : [subjectAltName(names)]),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(signer.certificate.publicKey),
    ],
  });
  return pem(certificate);
}

/** A fresh P-256 key pair: the private half as PKCS#8 PEM, the public half as a leaf needs it. */
export async function createLeafKey(): Promise<{key: string; publicKey: Leaf['publicKey']}> {
  const keys = await webcrypto.subtle.generateKey(CURVE, true, ['sign', 'verify']);
  const key = await exportKey(keys.privateKey);
  return {key, publicKey: {spki: createPublicKey(key).export({format: 'der', type: 'spki'}), kind: 'ec'}};
}

// RSA key exchange (TLS 1.2) needs keyEncipherment; keys that can only sign must not have it.
function keyUsage(kind: ProvenKey['kind']): x509.Extension {
  const {digitalSignature, keyEncipherment} = x509.KeyUsageFlags;
  return kind === 'rsa'
    ? new x509.KeyUsagesExtension(digitalSignature | keyEncipherment, true)
    : new x509.KeyUsagesExtension(digitalSignature, true);
}

function subjectAltName(names: CertificateNames): x509.Extension {
  return new x509.SubjectAlternativeNameExtension([
    ...names.dns.map(value => ({type: 'dns' as const, value})),
    ...names.ip.map(value => ({type: 'ip' as const, value})),
  ]);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return String(
    createPrivateKey({key: pkcs8, format: 'der', type: 'pkcs8'}).export({format: 'pem', type: 'pkcs8'}),
  );
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem').trimEnd()}\n`;
}

/** RFC 5280, 4.1.2.2: positive, at most 20 octets; ours are 128 random bits. */
function serial(): string {
  return randomBytes(16).toString('hex');
}
