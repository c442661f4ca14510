/** Where each key lives: `<home>/keys/`. Data only. */
import {join} from 'node:path';

export interface KeyPair {
  /** PEM, mode 0600. */
  readonly key: string;
  /** Certificate, PEM. */
  readonly certificate: string;
}

export interface KeySet {
  readonly folder: string;
  /** Platform key: its owner decides about KEK. */
  readonly PK: KeyPair;
  /** Key exchange key: its owner decides about db. */
  readonly KEK: KeyPair;
  /** Signs boot loader and UKI. */
  readonly db: KeyPair;
  /** RSA pair that signs the PCR 11 policies in the UKI. */
  readonly pcr: {readonly key: string; readonly publicKey: string};
  /** File with the GUID that names us as owner in the firmware's variables. */
  readonly owner: string;
  /** Folder whose content goes to `loader/keys/auto` of the ESP: systemd-boot enrols it in setup mode. */
  readonly enrolment: string;
}

export const enrolmentFiles = ['PK.auth', 'KEK.auth', 'db.auth'] as const;

/** The paths inside `folder`, whether the keys exist or not. */
export function keySetPaths(folder: string): KeySet {
  const pair = (name: string): KeyPair => ({
    key: join(folder, `${name}.key`),
    certificate: join(folder, `${name}.crt`),
  });
  return {
    folder,
    PK: pair('PK'),
    KEK: pair('KEK'),
    db: pair('db'),
    pcr: {key: join(folder, 'pcr.key'), publicKey: join(folder, 'pcr.pub')},
    owner: join(folder, 'owner'),
    enrolment: join(folder, 'enrolment'),
  };
}

/** The db key that is on its way out: it signs beside the new one as long as it is there (rotation.ts). */
export function previousDb(folder: string): KeyPair {
  return {key: join(folder, 'db-previous.key'), certificate: join(folder, 'db-previous.crt')};
}

/** Paths of the private keys, which nobody but their owner may read. */
export function privateKeys(keys: KeySet): string[] {
  return [keys.PK.key, keys.KEK.key, keys.db.key, keys.pcr.key];
}

/** Paths of everything that a complete key set holds. */
export function allKeyFiles(keys: KeySet): string[] {
  return [
    ...privateKeys(keys),
    keys.PK.certificate,
    keys.KEK.certificate,
    keys.db.certificate,
    keys.pcr.publicKey,
    keys.owner,
    ...enrolmentFiles.map(name => join(keys.enrolment, name)),
  ];
}
