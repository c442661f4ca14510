/**
 * The message authentication of enrolment, the same on the machine and on the signer: HMAC-SHA256 keyed with the
 * token. It imports no schema library, since it is bundled into a program that starts on every first boot.
 */
import {createHmac, timingSafeEqual} from 'node:crypto';
import type {EnrolmentGrant, EnrolmentRequest} from './contracts/enrolment.ts';

/** The stable DNS name of a machine in its certificate: clients check this name, so addresses may change. */
export function machineServerName(uuid: string): string {
  return `${uuid}.machine.hawser.internal`;
}

/**
 * Joins fields so that no two lists of fields give the same bytes: each one is preceded by its length in bytes
 * (unsigned 32 bits, big-endian), and the first one names the purpose.
 */
export function encodeFields(purpose: string, fields: readonly string[]): Buffer {
  return Buffer.concat(
    [purpose, ...fields].flatMap(field => {
      const bytes = Buffer.from(field, 'utf8');
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}

/** The MAC of a request (lower-case hex); `token` is base64url, as in the enrolment file. */
export function requestMac(token: string, request: Omit<EnrolmentRequest, 'mac'>): string {
  return hmac(token, 'hawser enrolment v1 request', [
    request.machine,
    String(request.generation),
    request.csr,
    request.sshHostKey,
  ]);
}

/** The MAC of a grant (lower-case hex). */
export function grantMac(token: string, grant: Omit<EnrolmentGrant, 'mac'>): string {
  return hmac(token, 'hawser enrolment v1 grant', [
    grant.machine,
    String(grant.generation),
    grant.certificate,
    grant.ca,
    grant.fleetCa,
  ]);
}

/** Compares two MACs in constant time. */
export function sameMac(expected: string, given: string): boolean {
  const left = Buffer.from(expected, 'utf8');
  const right = Buffer.from(given, 'utf8');
  return left.length === right.length && timingSafeEqual(left, right);
}

/** An OpenSSH public key as `type base64`, without options or comment; undefined when the line is not one. */
export function normalizeHostKey(line: string): string | undefined {
  const match = /^\s*((?:ssh|ecdsa|sk)-[a-z0-9@.-]+) +([A-Za-z0-9+/]+={0,2})(?:\s|$)/.exec(line);
  return match === null ? undefined : `${match[1]} ${match[2]}`;
}

function hmac(token: string, purpose: string, fields: readonly string[]): string {
  return createHmac('sha256', Buffer.from(token, 'base64url'))
    .update(encodeFields(purpose, fields))
    .digest('hex');
}
