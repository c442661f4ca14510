/**
 * Writes a PKCS#10 certificate request (RFC 2986). Only its public key counts, the signer chooses every name, so one
 * fixed shape is enough; writing it here saves the start of the `openssl` program.
 */
import {createPublicKey, sign, type KeyObject} from 'node:crypto';

const SEQUENCE = 0x30;
const SET = 0x31;
const OID_COMMON_NAME = Buffer.from('0603550403', 'hex');
const OID_ECDSA_WITH_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex');
const VERSION_1 = Buffer.from('020100', 'hex');
/** `attributes [0]`, which is not optional but may be empty. */
const NO_ATTRIBUTES = Buffer.from('a000', 'hex');

/** A request (PEM) for the EC key `privateKey`, signed by it, with `commonName` as its subject. */
export function createCsr(privateKey: KeyObject, commonName: string): string {
  const spki = createPublicKey(privateKey).export({format: 'der', type: 'spki'});
  const name = der(
    SEQUENCE,
    der(SET, der(SEQUENCE, OID_COMMON_NAME, der(0x0c, Buffer.from(commonName, 'utf8')))),
  );
  const info = der(SEQUENCE, VERSION_1, name, spki, NO_ATTRIBUTES);
  const signature = sign('sha256', info, privateKey);
  const request = der(
    SEQUENCE,
    info,
    der(SEQUENCE, OID_ECDSA_WITH_SHA256),
    der(0x03, Buffer.from([0]), signature),
  );
  const lines = request.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE REQUEST-----', ...lines, '-----END CERTIFICATE REQUEST-----', ''].join(
    '\n',
  );
}

/** X.690, 8.1.3: tag, length in the shortest form, contents. */
function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(contents);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const hex = body.length.toString(16);
  const length = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body]);
}
