/** Enrolment tokens: derived, never stored, so that a retried create hands the machine the same bytes. */
import {hkdfSync} from 'node:crypto';
import {encodeFields, requestMac, sameMac} from '../../common/enrolment-mac.ts';
import type {EnrolmentRequest} from '../../common/contracts/enrolment.ts';

/** Length of the key that all tokens of one store derive from, in bytes. */
export const TOKEN_KEY_BYTES = 32;

/** The token of one machine and generation: HKDF-SHA256 (RFC 5869) of the store's key, 32 bytes as base64url. */
export function deriveToken(storeKey: Uint8Array, machine: string, generation: number): string {
  const info = encodeFields('hawser enrolment v1', [machine, String(generation)]);
  return Buffer.from(hkdfSync('sha256', storeKey, new Uint8Array(), info, 32)).toString('base64url');
}

/** Whether the request was made by whoever holds `token`. Takes the same time for every wrong MAC. */
export function isAuthentic(token: string, request: EnrolmentRequest): boolean {
  return sameMac(requestMac(token, request), request.mac);
}
