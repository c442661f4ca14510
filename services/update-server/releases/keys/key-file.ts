/** A key as a file: the private part plain, or sealed with a passphrase (scrypt, AES-256-GCM). */
import {createCipheriv, createDecipheriv, randomBytes, scrypt} from 'node:crypto';
import type {KeyObject} from 'node:crypto';
import {promisify} from 'node:util';
import {Type, type Static} from 'typebox';
import {Hex64} from '../../../common/contracts/release.ts';
import {ReleasesError} from '../errors.ts';
import {exportPrivate, importPrivate, publicHex, publicKey, type Role} from './key.ts';

const Base64 = Type.String({pattern: '^[A-Za-z0-9+/]+={0,2}$', maxLength: 1024});

export const KeyFile = Type.Object({
  schema: Type.Literal(1),
  role: Type.Union([
    Type.Literal('root'),
    Type.Literal('targets'),
    Type.Literal('snapshot'),
    Type.Literal('timestamp'),
  ]),
  keyId: Hex64,
  public: Hex64,
  /** RFC 3339. */
  created: Type.String(),
  /** PKCS#8, base64. */
  private: Type.Optional(Base64),
  sealed: Type.Optional(
    Type.Object({
      kdf: Type.Literal('scrypt'),
      cost: Type.Integer({minimum: 2 ** 14, maximum: 2 ** 20}),
      salt: Base64,
      nonce: Base64,
      /** AES-256-GCM of the PKCS#8 bytes, the tag at its end. */
      ciphertext: Base64,
    }),
  ),
});
export type KeyFile = Static<typeof KeyFile>;

const derive = promisify<string, Buffer, number, {N: number; r: number; p: number; maxmem: number}, Buffer>(
  scrypt,
);
const COST = 2 ** 17; // 128 MiB, about half a second
const TAG = 16;

export async function sealKey(
  key: KeyObject,
  role: Role,
  created: Date,
  passphrase: string | undefined,
): Promise<KeyFile> {
  const hex = publicHex(key);
  const common = {
    schema: 1 as const,
    role,
    keyId: publicKey(hex).keyID,
    public: hex,
    created: created.toISOString(),
  };
  const plain = exportPrivate(key);
  if (passphrase === undefined) return {...common, private: plain.toString('base64')};
  const salt = randomBytes(16);
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', await stretch(passphrase, salt, COST), nonce);
  cipher.setAAD(Buffer.from(`${role} ${hex}`));
  const ciphertext = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  return {
    ...common,
    sealed: {
      kdf: 'scrypt',
      cost: COST,
      salt: salt.toString('base64'),
      nonce: nonce.toString('base64'),
      ciphertext: ciphertext.toString('base64'),
    },
  };
}

/** Throws {@link ReleasesError}: `passphrase-missing`, `passphrase-wrong`, `key-damaged`. `path` is for messages. */
export async function openKey(
  file: KeyFile,
  path: string,
  passphrase: string | undefined,
): Promise<KeyObject> {
  const key = importKey(await unseal(file, path, passphrase), path);
  if (publicHex(key) !== file.public || publicKey(file.public).keyID !== file.keyId)
    throw new ReleasesError('key-damaged', `${path} holds another key than it says`);
  return key;
}

async function unseal(file: KeyFile, path: string, passphrase: string | undefined): Promise<Buffer> {
  if (file.private !== undefined) return Buffer.from(file.private, 'base64');
  const {sealed} = file;
  if (sealed === undefined) throw new ReleasesError('key-damaged', `${path} holds no private key`);
  if (passphrase === undefined) {
    throw new ReleasesError('passphrase-missing', `${path} is sealed with a passphrase`, {
      remedy: 'give it with --passphrase-file FILE, or - for standard input',
    });
  }
  const bytes = Buffer.from(sealed.ciphertext, 'base64');
  const salt = Buffer.from(sealed.salt, 'base64');
  const secret = await stretch(passphrase, salt, sealed.cost);
  try {
    const decipher = createDecipheriv('aes-256-gcm', secret, Buffer.from(sealed.nonce, 'base64'), {
      authTagLength: TAG,
    });
    decipher.setAAD(Buffer.from(`${file.role} ${file.public}`));
    decipher.setAuthTag(bytes.subarray(-TAG));
    return Buffer.concat([decipher.update(bytes.subarray(0, -TAG)), decipher.final()]);
  } catch (error) {
    throw new ReleasesError('passphrase-wrong', `${path} does not open with this passphrase`, {cause: error});
  }
}

function importKey(der: Buffer, path: string): KeyObject {
  try {
    return importPrivate(der);
  } catch (error) {
    throw new ReleasesError('key-damaged', `${path} holds no key`, {cause: error});
  }
}

async function stretch(passphrase: string, salt: Buffer, cost: number): Promise<Buffer> {
  return derive(passphrase, salt, 32, {N: cost, r: 8, p: 1, maxmem: 256 * cost * 8 + (1 << 20)});
}
