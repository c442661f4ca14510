/** Who this machine is: what its own certificate says (services/update-server/callers.ts reads the same). */
import {X509Certificate} from 'node:crypto';
import {OverlayError} from './errors.ts';

const NAME = /DNS:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.machine\.hawser\.internal/;

/** The UUID in a PEM certificate. Throws OverlayError `bad-config`. */
export function machineIn(certificate: string): string {
  const [, uuid] = NAME.exec(new X509Certificate(certificate).subjectAltName ?? '') ?? [];
  if (uuid !== undefined) return uuid;
  throw new OverlayError('bad-config', 'the certificate of this machine names no machine', {
    remedy: 'enrol it again: see systemctl status hawser-enrol',
  });
}
