/** Ed25519 keys of TUF, in memory. */
import {createPrivateKey, generateKeyPairSync, sign, type KeyObject} from 'node:crypto';
import {Key, Signature} from '@tufjs/models';
import {sha256} from '../../../common/hash.ts';

export const roles = ['root', 'targets', 'snapshot', 'timestamp'] as const;
export type Role = (typeof roles)[number];
/** These lie apart from the server; the other two with the repository. */
export const offlineRoles = ['root', 'targets'] as const satisfies readonly Role[];
export const onlineRoles = ['snapshot', 'timestamp'] as const satisfies readonly Role[];

/** A key that can sign. */
export interface Signer {
  readonly key: Key;
  readonly sign: (bytes: Buffer) => Signature;
}

/** A new private key. */
export function generateKey(): KeyObject {
  return generateKeyPairSync('ed25519').privateKey;
}

export function signerOf(privateKey: KeyObject): Signer {
  const key = publicKey(publicHex(privateKey));
  return {
    key,
    sign: bytes => new Signature({keyID: key.keyID, sig: sign(undefined, bytes, privateKey).toString('hex')}),
  };
}

/** Lower-case hex of the 32 bytes. */
export function publicHex(privateKey: KeyObject): string {
  const jwk = privateKey.export({format: 'jwk'});
  return Buffer.from(jwk.x ?? '', 'base64url').toString('hex');
}

/** TUF 4.2: the key's id is the SHA-256 of its canonical JSON. */
export function publicKey(hex: string): Key {
  const canonical = `{"keytype":"ed25519","keyval":{"public":"${hex}"},"scheme":"ed25519"}`;
  return new Key({keyID: sha256(canonical), keyType: 'ed25519', scheme: 'ed25519', keyVal: {public: hex}});
}

/** PKCS#8 DER. */
export function exportPrivate(privateKey: KeyObject): Buffer {
  return privateKey.export({format: 'der', type: 'pkcs8'});
}

export function importPrivate(der: Uint8Array): KeyObject {
  return createPrivateKey({key: Buffer.from(der), format: 'der', type: 'pkcs8'});
}
