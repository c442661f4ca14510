/**
 * The CA of one cluster's etcd, in `<home>/clusters/<name>/ca`. It is not the fleet's: etcd takes every certificate of
 * its CA for a peer and for an administrator, and with the fleet's CA each machine of the fleet would be both.
 */
import {X509Certificate} from 'node:crypto';
import {join} from 'node:path';
import type {Clock} from '../../../common/clock.ts';
import {createFolderOnce, readFolder} from '../../enrolment/ca-folder.ts';
import {createCa, loadSigner, signLeaf, type KeyAndCertificate} from '../../enrolment/certificates.ts';
import {readCsr} from '../../enrolment/csr.ts';
import {ClusterError} from '../errors.ts';
import type {MemberAuthority} from '../ports.ts';

const DAY_MS = 86_400_000;
/** Machines boot with wrong clocks: certificates begin this long before they are signed. */
const BACKDATE_MS = 3_600_000;
const CA_DAYS = 3650;
const RENEW_DAYS = 30;

/** Opens the CA, made on first use. */
export async function openMemberAuthority(
  home: string,
  cluster: string,
  clock: Clock,
): Promise<MemberAuthority> {
  const folder = join(home, 'clusters', cluster, 'ca');
  const pair = await loadOrCreate(folder, cluster, clock);
  const signer = await loadSigner(pair);
  const issuer = new X509Certificate(pair.certificate);
  return {
    ca: pair.certificate,
    isCurrent: (pem, address) => {
      try {
        const certificate = new X509Certificate(pem);
        return (
          certificate.checkIssued(issuer) &&
          certificate.verify(issuer.publicKey) &&
          certificate.checkIP(address) !== undefined &&
          certificate.validToDate.getTime() - clock.now().getTime() > RENEW_DAYS * DAY_MS
        );
      } catch {
        return false; // half-written or not ours: made again
      }
    },
    sign: async (csr, member) =>
      signLeaf(signer, {
        commonName: member.name,
        publicKey: await readCsr(csr),
        names: {dns: ['localhost'], ip: [member.address, '127.0.0.1']},
        // Towards its peers a member is client and server.
        use: ['server', 'client'],
        notBefore: new Date(wholeSecond(clock) - BACKDATE_MS),
        notAfter: issuer.validToDate,
      }),
  };
}

async function loadOrCreate(folder: string, cluster: string, clock: Clock): Promise<KeyAndCertificate> {
  for (let tries = 0; tries < 2; tries++) {
    const {'ca.pem': certificate, 'ca-key.pem': key} = await readFolder(folder, ['ca.pem', 'ca-key.pem']);
    if (certificate !== undefined && key !== undefined) return {certificate, key};
    const made = await createCa(`Hawser etcd ${cluster} CA`, {
      notBefore: new Date(wholeSecond(clock) - BACKDATE_MS),
      notAfter: new Date(wholeSecond(clock) + CA_DAYS * DAY_MS),
    });
    // The loser of a race finds the winner's.
    if (await createFolderOnce(folder, {'ca.pem': made.certificate, 'ca-key.pem': made.key})) return made;
  }
  throw new ClusterError('record-damaged', `the CA in ${folder} is not complete`, {
    remedy: 'restore the folder from a backup',
  });
}

/** X.509 times have whole seconds. */
function wholeSecond(clock: Clock): number {
  return Math.floor(clock.now().getTime() / 1000) * 1000;
}
