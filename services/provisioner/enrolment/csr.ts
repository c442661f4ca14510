/** Reads a machine's certificate request (PKCS#10) and takes nothing from it but the proven public key. */
import 'reflect-metadata';
import {createPublicKey, type KeyObject} from 'node:crypto';
import {Pkcs10CertificateRequest, PemConverter} from '@peculiar/x509';
import {sha256} from '../../common/hash.ts';
import {EnrolmentError} from './errors.ts';

/** A public key whose owner has proven to hold the private half. */
export interface ProvenKey {
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly kind: 'ec' | 'ed25519' | 'rsa';
  /** Lower-case hex SHA-256 of `spki`. */
  readonly fingerprint: string;
}

const CURVES = ['prime256v1', 'secp384r1'];
const RSA_BITS = {min: 2048, max: 8192};
const PEM = /^\s*-----BEGIN CERTIFICATE REQUEST-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE REQUEST-----\s*$/;

/** Checks the request's own signature and the key's strength. Throws `bad-csr` or `weak-key`. */
export async function readCsr(pem: string): Promise<ProvenKey> {
  if (!PEM.test(pem)) throw notReadable();
  let proven: boolean;
  let key: KeyObject;
  try {
    const [der] = PemConverter.decode(pem);
    if (der === undefined) throw notReadable();
    const csr = new Pkcs10CertificateRequest(der);
    key = createPublicKey({key: Buffer.from(csr.publicKey.rawData), format: 'der', type: 'spki'});
    checkStrength(key);
    proven = await csr.verify();
  } catch (error) {
    if (error instanceof EnrolmentError) throw error;
    throw notReadable(error);
  }
  // RFC 2986, 4: the signature proves that the requester holds the private key.
  if (!proven) throw new EnrolmentError('bad-csr', 'the certificate request is not signed by its own key');

  // Exported again rather than copied: what we sign is what OpenSSL understood, in canonical form.
  const spki = key.export({format: 'der', type: 'spki'});
  return {spki, kind: kindOf(key), fingerprint: sha256(spki)};
}

function checkStrength(key: KeyObject): void {
  const details = key.asymmetricKeyDetails ?? {};
  switch (kindOf(key)) {
    case 'ed25519':
      return;
    case 'ec':
      if (CURVES.includes(details.namedCurve ?? '')) return;
      break;
    case 'rsa': {
      const bits = details.modulusLength ?? 0;
      const exponent = details.publicExponent ?? 0n;
      if (bits >= RSA_BITS.min && bits <= RSA_BITS.max && exponent >= 65_537n && exponent % 2n === 1n) return;
      break;
    }
  }
  throw weakKey();
}

function kindOf(key: KeyObject): ProvenKey['kind'] {
  const type = key.asymmetricKeyType;
  if (type === 'ec' || type === 'ed25519' || type === 'rsa') return type;
  throw weakKey();
}

function weakKey(): EnrolmentError {
  return new EnrolmentError('weak-key', 'the certificate request has a key that we do not sign', {
    remedy: `use EC P-256 or P-384, Ed25519, or RSA of ${RSA_BITS.min} to ${RSA_BITS.max} bits`,
  });
}

function notReadable(cause?: unknown): EnrolmentError {
  return new EnrolmentError('bad-csr', 'the certificate request cannot be read', {cause});
}
