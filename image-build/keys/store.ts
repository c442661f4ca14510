/** Makes the keys once, and finds them again. Keys never leave their folder, and never pass through an argument. */
import {X509Certificate} from 'node:crypto';
import {mkdir, mkdtemp, open, readFile, rename, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {systemErrorCode} from '../../services/common/errors.ts';
import {exec} from '../../services/common/exec.ts';
import {syncFolder} from '../../services/common/fs-atomic.ts';
import {isThere} from '../cache.ts';
import {
  encodeVariableUpdate,
  secureBootVariables,
  signedDataOf,
  variablePayload,
  type SecureBootVariable,
} from './authenticated-variable.ts';
import {KeysError} from './errors.ts';
import {allKeyFiles, keySetPaths, privateKeys, type KeyPair, type KeySet} from './key-set.ts';
import {encodeSignatureLists} from './signature-list.ts';

export interface LoadedKeys {
  readonly paths: KeySet;
  /** GUID of the owner. */
  readonly owner: string;
}

export interface CreateKeysInput {
  /** `<home>/keys`. */
  readonly folder: string;
  /** A new random GUID: names us as owner in the firmware's variables. */
  readonly owner: string;
  /** Time stamp of the enrolment files. */
  readonly now: Date;
  readonly signal?: AbortSignal | undefined;
}

// Firmware does not look at the validity, and replacing a platform key needs hands on every machine.
const VALIDITY_DAYS = '9125';
const OPENSSL_TIMEOUT_MS = 60_000;
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The keys in `folder`. Throws {@link KeysError}: `keys-missing`, `keys-incomplete`, or
 * `keys-readable-by-others` when a private key has lost its mode 0600.
 */
export async function loadKeys(folder: string): Promise<LoadedKeys> {
  const paths = keySetPaths(folder);
  if (!(await isThere(folder))) {
    throw new KeysError('keys-missing', `there are no keys in ${folder}`, {
      remedy: 'make them with: hawser keys init',
    });
  }
  for (const file of allKeyFiles(paths)) {
    if (await isThere(file)) continue;
    throw new KeysError('keys-incomplete', `${file} is missing`, {
      remedy: `put it back from your copy of the keys, or move ${folder} away and run: hawser keys init`,
    });
  }
  for (const file of privateKeys(paths)) {
    if (((await stat(file)).mode & 0o077) === 0) continue;
    throw new KeysError('keys-readable-by-others', `${file} can be read by others`, {
      remedy: `run: chmod 600 ${file}`,
    });
  }
  const owner = (await readFile(paths.owner, 'utf8')).trim();
  if (!GUID.test(owner)) throw new KeysError('keys-incomplete', `${paths.owner} does not hold a GUID`);
  return {paths, owner};
}

/**
 * Makes the keys unless they are there; never changes existing ones. They appear all at once or not at all, also
 * when two processes try. Throws {@link KeysError} as {@link loadKeys}, and ExecError when openssl fails.
 */
export async function createKeys(input: CreateKeysInput): Promise<LoadedKeys & {readonly created: boolean}> {
  const {folder} = input;
  if (await isThere(folder)) return {...(await loadKeys(folder)), created: false};
  await mkdir(dirname(folder), {recursive: true, mode: 0o700});
  const work = await mkdtemp(join(dirname(folder), '.keys-')); // mode 0700
  try {
    await writeKeys(keySetPaths(work), input);
    const created = await moveInPlace(work, folder);
    return {...(await loadKeys(folder)), created};
  } finally {
    await rm(work, {recursive: true, force: true});
  }
}

async function writeKeys(keys: KeySet, {owner, now, signal}: CreateKeysInput): Promise<void> {
  const openssl = async (...args: readonly (readonly string[])[]) => {
    await exec(['openssl', ...args.flat()], {timeoutMs: OPENSSL_TIMEOUT_MS, signal});
  };
  for (const name of ['PK', 'KEK', 'db'] as const)
    await makeCertificate(keys[name], `Hawser ${name} ${owner.slice(0, 8)}`, signal);
  await openssl(['genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', keys.pcr.key]);
  await openssl(['pkey', '-in', keys.pcr.key, '-pubout', '-out', keys.pcr.publicKey]);
  await writeFile(keys.owner, `${owner}\n`);
  await mkdir(keys.enrolment);
  // UEFI 8.2.2: the platform key signs itself and KEK, KEK signs db.
  const signers = {PK: keys.PK, KEK: keys.PK, db: keys.KEK} as const;
  for (const name of ['PK', 'KEK', 'db'] as const) {
    const certificate = new X509Certificate(await readFile(keys[name].certificate)).raw;
    const content = encodeSignatureLists(owner, [certificate]);
    const update = {variable: secureBootVariables[name], now, content, signer: signers[name], signal};
    await writeFile(join(keys.enrolment, `${name}.auth`), await signVariable({...update, append: false}));
  }
  await seal(keys);
}

/** A key and its certificate, signed by itself. */
export async function makeCertificate(
  {key, certificate}: KeyPair,
  name: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  await exec(
    [
      'openssl',
      'req',
      '-new',
      '-x509',
      '-sha256',
      '-newkey',
      'rsa:2048',
      '-noenc',
      '-subj',
      `/CN=${name}`,
      '-days',
      VALIDITY_DAYS,
      '-keyout',
      key,
      '-out',
      certificate,
    ],
    {timeoutMs: OPENSSL_TIMEOUT_MS, signal},
  );
}

export interface VariableUpdate {
  readonly variable: SecureBootVariable;
  readonly now: Date;
  readonly content: Uint8Array;
  /** Owner of the next higher key. */
  readonly signer: KeyPair;
  readonly append: boolean;
  readonly signal: AbortSignal | undefined;
}

/** An `.auth` file. */
export async function signVariable(update: VariableUpdate): Promise<Uint8Array> {
  const {variable, now, content, signer, append, signal} = update;
  const work = await mkdtemp(join(tmpdir(), 'hawser-sign-'));
  try {
    const output = join(work, 'signature.der');
    // Without -nodetach and attributes: firmware recomputes the payload and knows no signed attributes.
    await exec(
      [
        'openssl',
        'cms',
        '-sign',
        '-binary',
        '-noattr',
        '-md',
        'sha256',
        '-outform',
        'DER',
        '-out',
        output,
        '-signer',
        signer.certificate,
        '-inkey',
        signer.key,
      ],
      {timeoutMs: OPENSSL_TIMEOUT_MS, input: variablePayload(variable, now, content, append), signal},
    );
    return encodeVariableUpdate(now, signedDataOf(await readFile(output)), content);
  } finally {
    await rm(work, {recursive: true, force: true});
  }
}

/** Private keys 0600, the rest 0644, and everything on the disk. */
async function seal(keys: KeySet): Promise<void> {
  const secret = new Set(privateKeys(keys));
  for (const file of allKeyFiles(keys)) {
    const handle = await open(file, 'r+');
    try {
      await handle.chmod(secret.has(file) ? 0o600 : 0o644);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
  await syncFolder(keys.enrolment);
  await syncFolder(keys.folder);
}

/** False when another process was first: its keys stay. */
async function moveInPlace(work: string, folder: string): Promise<boolean> {
  try {
    await rename(work, folder);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
  await syncFolder(dirname(folder));
  return true;
}
