/** The operator's Docker certificate in a machine's folder, where `DOCKER_CERT_PATH` points. */
import {X509Certificate} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {writeFileAtomic} from '../../services/common/fs-atomic.ts';
import type {MachineRuntime} from '../ports.ts';
import {certificateFiles} from './api.ts';

/** A certificate that ends sooner is replaced when it is next needed. */
const RENEW_BEFORE_MS = 7 * 24 * 3600 * 1000;

/** Writes `ca.pem`, `cert.pem` and `key.pem` unless a certificate with enough time left is there. */
export async function ensureClientCertificate(
  runtime: MachineRuntime,
  folder: string,
  user: string,
  options: {readonly fresh?: boolean} = {},
): Promise<void> {
  if (options.fresh !== true && (await isFresh(folder, runtime.clock.now()))) return;
  const issued = await (await runtime.enrolment()).clientCertificate(user, options);
  await writeFileAtomic(join(folder, certificateFiles.ca), issued.ca, 0o644);
  await writeFileAtomic(join(folder, certificateFiles.key), issued.key);
  // Last: it is what `isFresh` judges by.
  await writeFileAtomic(join(folder, certificateFiles.cert), issued.cert, 0o644);
}

async function isFresh(folder: string, now: Date): Promise<boolean> {
  try {
    const certificate = new X509Certificate(await readFile(join(folder, certificateFiles.cert)));
    return certificate.validToDate.getTime() - now.getTime() > RENEW_BEFORE_MS;
  } catch {
    return false;
  }
}
