/**
 * Another db key, in two steps. After {@link rotateDb} images carry the signatures of the old and of the new key, and
 * machines are told to trust the new one besides. When every machine does, {@link finishRotation} ends with the old one.
 */
import {X509Certificate} from 'node:crypto';
import {mkdir, readFile, rename, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {syncFolder, writeFileAtomic} from '../../services/common/fs-atomic.ts';
import {isThere} from '../cache.ts';
import {secureBootVariables} from './authenticated-variable.ts';
import {KeysError} from './errors.ts';
import {previousDb, type KeyPair, type KeySet} from './key-set.ts';
import {encodeSignatureLists} from './signature-list.ts';
import {loadKeys, makeCertificate, signVariable, type LoadedKeys} from './store.ts';

export interface RotationInput {
  /** `<home>/keys`. */
  readonly folder: string;
  readonly now: Date;
  readonly signal?: AbortSignal | undefined;
}

export interface Rotated {
  readonly keys: LoadedKeys;
  /** Signed by KEK: what a machine's firmware takes while Secure Boot is on (UEFI 8.2, append). */
  readonly update: string;
}

/**
 * Makes a new db key; the old one goes on signing beside it. Run again after a kill, it goes on where it was. Throws
 * {@link KeysError} `rotation-unfinished` while the last rotation has not been finished.
 */
export async function rotateDb(input: RotationInput): Promise<Rotated> {
  const keys = await loadKeys(input.folder);
  const {paths, owner} = keys;
  const previous = previousDb(input.folder);
  const next = pairAt(input.folder, 'db-next');
  const begun = await isThere(next.certificate);
  if (!begun && (await isThere(previous.certificate))) {
    throw new KeysError('rotation-unfinished', 'the db key was changed before, and the old one still signs', {
      remedy: 'when all machines have taken the last update of db, run: hawser keys rotate db --finish',
    });
  }
  if (!begun) {
    // The certificate is what shows that both are there.
    const making = pairAt(input.folder, 'db-making');
    await makeCertificate(
      making,
      `Hawser db ${owner.slice(0, 8)} ${input.now.toISOString().slice(0, 10)}`,
      input.signal,
    );
    await copyDurably(making.key, next.key, 0o600);
    await copyDurably(making.certificate, next.certificate, 0o644);
    await rm(making.key, {force: true});
    await rm(making.certificate, {force: true});
  }
  if (await isThere(next.key)) {
    await copyDurably(paths.db.key, previous.key, 0o600);
    await copyDurably(paths.db.certificate, previous.certificate, 0o644);
  }
  const [fresh, old] = [await der(next), await der(previous)];
  const update = await writeUpdate(paths, input, 'db', encodeSignatureLists(owner, [fresh]));
  // A machine that is installed from now on trusts both, so that it also boots what only the old key signed.
  await writeEnrolment(paths, input, encodeSignatureLists(owner, [fresh, old]));
  if (await isThere(next.key)) await rename(next.key, paths.db.key);
  await rename(next.certificate, paths.db.certificate);
  await syncFolder(input.folder);
  return {keys: await loadKeys(input.folder), update};
}

/**
 * The old key signs nothing any more, and new machines do not trust it. The update for dbx tells the others: firmware
 * refuses what carries a signature that dbx names, also beside a good one, so that update is only for machines with
 * releases of the new key alone in both slots. Throws {@link KeysError} `no-rotation`.
 */
export async function finishRotation(input: RotationInput): Promise<Rotated> {
  const {paths, owner} = await loadKeys(input.folder);
  const previous = previousDb(input.folder);
  if (!(await isThere(previous.certificate)))
    throw new KeysError('no-rotation', 'no db key is being changed', {
      remedy: 'begin with: hawser keys rotate db',
    });
  const update = await writeUpdate(paths, input, 'dbx', encodeSignatureLists(owner, [await der(previous)]));
  await writeEnrolment(paths, input, encodeSignatureLists(owner, [await der(paths.db)]));
  const retired = join(input.folder, 'retired');
  await mkdir(retired, {recursive: true, mode: 0o700});
  const name = new X509Certificate(await readFile(previous.certificate)).fingerprint256
    .replaceAll(':', '')
    .slice(0, 16);
  if (await isThere(previous.key)) await rename(previous.key, join(retired, `db-${name.toLowerCase()}.key`));
  await rename(previous.certificate, join(retired, `db-${name.toLowerCase()}.crt`));
  await syncFolder(retired);
  await syncFolder(input.folder);
  return {keys: await loadKeys(input.folder), update};
}

function pairAt(folder: string, name: string): KeyPair {
  return {key: join(folder, `${name}.key`), certificate: join(folder, `${name}.crt`)};
}

async function der({certificate}: KeyPair): Promise<Uint8Array> {
  return new X509Certificate(await readFile(certificate)).raw;
}

async function writeUpdate(
  paths: KeySet,
  {folder, now, signal}: RotationInput,
  name: 'db' | 'dbx',
  content: Uint8Array,
): Promise<string> {
  const updates = join(folder, 'update');
  await mkdir(updates, {recursive: true, mode: 0o755});
  const path = join(updates, `${name}-append.auth`);
  const variable = secureBootVariables[name];
  await writeFileAtomic(
    path,
    await signVariable({variable, now, content, signer: paths.KEK, append: true, signal}),
    0o644,
  );
  return path;
}

async function writeEnrolment(
  paths: KeySet,
  {now, signal}: RotationInput,
  content: Uint8Array,
): Promise<void> {
  const variable = secureBootVariables.db;
  const bytes = await signVariable({variable, now, content, signer: paths.KEK, append: false, signal});
  await writeFileAtomic(join(paths.enrolment, 'db.auth'), bytes, 0o644);
}

async function copyDurably(from: string, to: string, mode: number): Promise<void> {
  await writeFileAtomic(to, await readFile(from), mode);
}
