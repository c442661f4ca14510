/**
 * Enrolment carried by the command line over SSH, for machines that reach no server. Before this the machine's host key
 * is unknown, so the connection may end at anybody: the host key inside the request, which only the token's holder can
 * have signed, must be the key that the connection was made with.
 */
import {normalizeHostKey} from '../../common/enrolment-mac.ts';
import type {EnrolmentGrant} from '../../common/contracts/enrolment.ts';
import {enrol, parseRequest, type EnrolDeps} from './enrol.ts';
import {EnrolmentError} from './errors.ts';
import type {MachineConsole} from './ports.ts';

/** What the connection was asked for and how it was made. */
export interface SshEvidence {
  /** The machine that the connection was meant for. */
  readonly machine?: string | undefined;
  /** The host key that the connection was made with, as `type base64`. */
  readonly hostKeySeen: string;
}

/**
 * {@link enrol} for a request that was read over SSH. Throws `host-key-mismatch` when the connection did not end at the
 * machine that made the request, beside all that {@link enrol} throws.
 */
export async function enrolOverSsh(
  requestJson: string,
  evidence: SshEvidence,
  deps: EnrolDeps,
  extraNames: readonly string[] = [],
): Promise<EnrolmentGrant> {
  const request = parseRequest(requestJson);
  const seen = normalizeHostKey(evidence.hostKeySeen);
  const meant = evidence.machine ?? request.machine;
  if (seen === undefined || seen !== normalizeHostKey(request.sshHostKey) || meant !== request.machine) {
    throw new EnrolmentError('host-key-mismatch', 'the SSH connection did not end at the machine that asks', {
      remedy: 'somebody may stand between you and the machine: check the address, then try again',
    });
  }
  return enrol(request, deps, extraNames);
}

/** The whole exchange over one connection. Nothing is sent before the request has proven who is at the other end. */
export async function enrolByConsole(
  console: MachineConsole,
  accept: (requestJson: string, hostKeySeen: string) => Promise<EnrolmentGrant>,
): Promise<EnrolmentGrant> {
  const grant = await accept(await console.readRequest(), console.hostKeySeen);
  await console.sendGrant(JSON.stringify(grant));
  return grant;
}
