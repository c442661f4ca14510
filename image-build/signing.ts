/** How boot loader and UKI get their signatures: not at all, with keys, or with signatures that were published. */
import {readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {ImageError} from './errors.ts';
import {enrolmentFiles, keySetPaths, previousDb, type KeySet} from './keys/key-set.ts';
import {loadKeys} from './keys/store.ts';

export type Signing =
  | {readonly kind: 'none'}
  /** Folder made by `hawser keys init`. */
  | {readonly kind: 'keys'; readonly folder: string}
  /** Folder `signatures/` of an image that was signed. */
  | {readonly kind: 'attach'; readonly folder: string};

/**
 * A folder of signatures: what {@link keySetPaths} names, but the private keys, and three files more. It holds
 * nothing secret, and all that turns an unsigned build into the signed one.
 */
export interface SignatureFiles {
  /** Certificate tables, as `attachSignature` takes them. */
  readonly uki: string;
  readonly bootLoader: string;
  /** The UKI's `.pcrsig` section. */
  readonly pcrPolicies: string;
}

export function signatureFiles(folder: string): SignatureFiles {
  return {
    uki: join(folder, 'uki.sig'),
    bootLoader: join(folder, 'boot-loader.sig'),
    pcrPolicies: join(folder, 'pcrsig.json'),
  };
}

/** The verity signature partition of a system extension, in a folder of signatures. */
export function sysextSignature(folder: string, name: string): string {
  return join(folder, 'sysexts', `${name}.verity-sig`);
}

/** Paths of the public files of a key set that an image or a firmware store is made with. */
export function publicKeyFiles(keys: KeySet): string[] {
  return [
    keys.PK.certificate,
    keys.KEK.certificate,
    keys.db.certificate,
    keys.pcr.publicKey,
    keys.owner,
    ...enrolmentFiles.map(name => join(keys.enrolment, name)),
  ];
}

/** Checks that everything is there before a build begins. Throws KeysError, and {@link ImageError} `signatures-invalid`. */
export async function checkSigning(signing: Signing): Promise<void> {
  if (signing.kind === 'keys') await loadKeys(signing.folder);
  if (signing.kind !== 'attach') return;
  const wanted = [
    ...Object.values(signatureFiles(signing.folder)),
    ...publicKeyFiles(keySetPaths(signing.folder)),
  ];
  for (const path of wanted) {
    if ((await stat(path).catch(() => undefined))?.isFile()) continue;
    throw new ImageError('signatures-invalid', `${path} is missing`, {
      remedy: 'name the folder "signatures" of a signed image, whole',
    });
  }
}

/** What the signature in the image depends on, for the hash of the build's inputs. */
export async function signingIdentity(signing: Signing): Promise<string> {
  if (signing.kind === 'none') return '';
  const current = await readFile(keySetPaths(signing.folder).db.certificate, 'utf8');
  const previous = await readFile(previousDb(signing.folder).certificate, 'utf8').catch(() => '');
  return current + previous;
}
