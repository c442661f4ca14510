/**
 * Keys, fingerprint, signatures and sealed messages of a rack, the same on the machine and on the server. No schema
 * library: it is bundled into the install agent. What the parts mean: contracts/rack.ts.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import type {RackKeys, Sealed} from './contracts/rack.ts';
import {encodeFields} from './enrolment-mac.ts';
import {sha256} from './hash.ts';

type Curve = 'X25519' | 'Ed25519';
const TAG_BYTES = 16;

/** The private halves beside the public ones. Never written anywhere. */
export interface BootKeys {
  readonly keys: RackKeys;
  readonly x25519: KeyObject;
  readonly ed25519: KeyObject;
}

/** Fresh keys, once a boot. */
export function makeBootKeys(): BootKeys {
  const seal = generateKeyPairSync('x25519');
  const proof = generateKeyPairSync('ed25519');
  return {
    keys: {x25519: rawKey(seal.publicKey), ed25519: rawKey(proof.publicKey)},
    x25519: seal.privateKey,
    ed25519: proof.privateKey,
  };
}

/**
 * What the operator compares: the first 128 bits of SHA-256 over both keys, as eight groups of four hex digits with
 * dashes. 128, since whoever wants to be taken for a machine has all the time to look for keys that give its text.
 */
export function fingerprintOf(keys: RackKeys): string {
  const digest = sha256(encodeFields('hawser rack v1 keys', [keys.x25519, keys.ed25519]));
  return (digest.slice(0, 32).match(/.{4}/g) ?? []).join('-');
}

export interface SignedRequest {
  readonly method: 'GET' | 'POST';
  /** Path as sent, from the slash on. */
  readonly path: string;
  readonly sequence: number;
  /** As sent; empty for GET. */
  readonly body: string | Uint8Array;
}

/** The bytes that the signature is over. */
export function requestBytes({method, path, sequence, body}: SignedRequest): Buffer {
  return encodeFields('hawser rack v1 request', [method, path, String(sequence), sha256(body)]);
}

/** The value of the signature's header. */
export function signRequest(key: KeyObject, request: SignedRequest): string {
  return sign(null, requestBytes(request), key).toString('base64url');
}

/** Whether the holder of `ed25519` made this request. False for anything that is no key or no signature. */
export function isSigned(ed25519: string, request: SignedRequest, signature: string): boolean {
  try {
    const key = publicKey('Ed25519', ed25519);
    return verify(null, requestBytes(request), key, Buffer.from(signature, 'base64url'));
  } catch {
    return false;
  }
}

/** Who and what a sealed message is for: it opens under the same purpose and context only. */
export interface SealContext {
  /** `permit`. */
  readonly purpose: string;
  /** For a permit: the machine's UUID with us, and the permit's id. */
  readonly fields: readonly string[];
}

/** Seals `message` to an X25519 key, by a key of its own. Throws when `recipient` is no such key. */
export function seal(recipient: string, message: string, context: SealContext): Sealed {
  const own = generateKeyPairSync('x25519');
  const ephemeral = rawKey(own.publicKey);
  const nonce = randomBytes(12);
  const secret = diffieHellman({privateKey: own.privateKey, publicKey: publicKey('X25519', recipient)});
  const cipher = createCipheriv('aes-256-gcm', sealKey(secret, ephemeral, recipient, context), nonce);
  const ciphertext = Buffer.concat([cipher.update(message, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return {ephemeral, nonce: nonce.toString('base64url'), ciphertext: ciphertext.toString('base64url')};
}

/** Opens what was sealed to `keys`. Throws when it was sealed to others, for something else, or changed on the way. */
export function openSealed(
  keys: Pick<BootKeys, 'keys' | 'x25519'>,
  sealed: Sealed,
  context: SealContext,
): string {
  const secret = diffieHellman({privateKey: keys.x25519, publicKey: publicKey('X25519', sealed.ephemeral)});
  const key = sealKey(secret, sealed.ephemeral, keys.keys.x25519, context);
  const bytes = Buffer.from(sealed.ciphertext, 'base64url');
  if (bytes.length < TAG_BYTES) throw new Error('the sealed message is too short');
  const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(sealed.nonce, 'base64url'), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(bytes.subarray(0, -TAG_BYTES)), decipher.final()]).toString('utf8');
}

/** The context of a permit. */
export function permitContext(machine: string, permit: string): SealContext {
  return {purpose: 'permit', fields: [machine, permit]};
}

function sealKey(
  secret: Buffer,
  ephemeral: string,
  recipient: string,
  {purpose, fields}: SealContext,
): Buffer {
  // Both public keys go into the derivation (RFC 9180 does the same), so that a message names its two ends.
  const salt = encodeFields('hawser rack v1 seal', [ephemeral, recipient]);
  const info = encodeFields(`hawser rack v1 ${purpose}`, fields);
  return Buffer.from(hkdfSync('sha256', secret, salt, info, 32));
}

function rawKey(key: KeyObject): string {
  const {x} = key.export({format: 'jwk'});
  if (x === undefined) throw new Error('the key is not on an Edwards or Montgomery curve');
  return x;
}

function publicKey(curve: Curve, raw: string): KeyObject {
  return createPublicKey({key: {kty: 'OKP', crv: curve, x: raw}, format: 'jwk'});
}
