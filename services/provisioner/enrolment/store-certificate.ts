/** The certificate of the etcd that `hawser server` starts for itself. */
import type {Clock} from '../../common/clock.ts';
import {createCa, createLeafKey, loadSigner, signLeaf, type KeyAndCertificate} from './certificates.ts';
import {serverNames} from './names.ts';

const HOUR_MS = 3_600_000;
/** Longer than any server runs: each start makes a new one. */
const YEARS_MS = 10 * 365 * 24 * HOUR_MS;

/**
 * A key and a certificate for loopback, server and client at once, under a CA whose own key is forgotten at once: nobody
 * can ever sign a second one. It is not the fleet's CA, of which every machine holds a certificate.
 */
export async function createStoreCertificate(
  clock: Clock,
): Promise<KeyAndCertificate & {readonly ca: string}> {
  // X.509 times have whole seconds.
  const now = Math.floor(clock.now().getTime() / 1000) * 1000;
  const validity = {notBefore: new Date(now - HOUR_MS), notAfter: new Date(now + YEARS_MS)};
  const ca = await createCa('Hawser store CA', validity);
  const {key, publicKey} = await createLeafKey();
  const certificate = await signLeaf(await loadSigner(ca), {
    commonName: 'hawser store',
    publicKey,
    names: serverNames([]),
    use: ['server', 'client'],
    ...validity,
  });
  return {key, certificate, ca: ca.certificate};
}
