/** Makes the machine's key and its request. */
import {createPrivateKey, generateKeyPairSync, type KeyObject} from 'node:crypto';
import {mkdir, readFile} from 'node:fs/promises';
import {dirname} from 'node:path';
import type {EnrolmentConfig, EnrolmentRequest} from '../common/contracts/enrolment.ts';
import {normalizeHostKey, requestMac} from '../common/enrolment-mac.ts';
import {createFileOnce, writeFileAtomic} from '../common/fs-atomic.ts';
import {createCsr} from './csr.ts';
import {EnrolAgentError} from './errors.ts';
import type {Layout} from './layout.ts';
import {readIfThere} from './state.ts';

/**
 * Writes the request (0600) and returns it. The key is made once and kept: a request that is made again is for the same
 * key, which the signer answers again. Throws `bad-key` or `no-host-key`.
 */
export async function makeRequest(layout: Layout, config: EnrolmentConfig): Promise<EnrolmentRequest> {
  const sshHostKey = normalizeHostKey((await readIfThere(layout.sshHostKey)) ?? '');
  if (sshHostKey === undefined) {
    throw new EnrolAgentError('no-host-key', `${layout.sshHostKey} is not an SSH host key`, {
      remedy: 'start hawser-hostkey.service first',
    });
  }
  const key = await openKey(layout);
  const {machine, generation} = config;
  const unsigned = {machine, generation, csr: createCsr(key, config.name), sshHostKey};
  const request = {...unsigned, mac: requestMac(config.token, unsigned)};
  await mkdir(dirname(layout.request), {recursive: true});
  await writeFileAtomic(layout.request, `${JSON.stringify(request)}\n`, 0o600);
  return request;
}

/** The machine's key, made on the first call. Throws `bad-key`. */
export async function openKey(layout: Layout): Promise<KeyObject> {
  if ((await readIfThere(layout.key)) === undefined) {
    await mkdir(dirname(layout.key), {recursive: true, mode: 0o700});
    const {privateKey} = generateKeyPairSync('ec', {namedCurve: 'P-256'});
    await createFileOnce(layout.key, privateKey.export({format: 'pem', type: 'pkcs8'}), 0o600);
  }
  try {
    return createPrivateKey(await readFile(layout.key));
  } catch (error) {
    throw new EnrolAgentError('bad-key', `${layout.key} is not a private key`, {
      remedy: 'remove it and start hawser-enrol.service again',
      cause: error,
    });
  }
}
