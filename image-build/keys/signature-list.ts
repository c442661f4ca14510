/** EFI_SIGNATURE_LIST (UEFI Specification 2.10, 32.4.1): the content of the variables PK, KEK and db. */
import {guidToBytes} from '../../services/common/formats/guid.ts';

const CERT_X509 = 'a5c059a1-94e4-4aa7-87b5-ab155c2bf072';
const LIST_HEADER = 28;
const OWNER = 16;

/** One list per certificate (DER), each under the GUID of its owner: lists hold entries of one size only. */
export function encodeSignatureLists(owner: string, certificates: readonly Uint8Array[]): Uint8Array {
  const size = certificates.reduce((sum, certificate) => sum + LIST_HEADER + OWNER + certificate.length, 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const certificate of certificates) {
    bytes.set(guidToBytes(CERT_X509), at);
    view.setUint32(at + 16, LIST_HEADER + OWNER + certificate.length, true);
    view.setUint32(at + 20, 0, true); // an X.509 list has no header of its own
    view.setUint32(at + 24, OWNER + certificate.length, true);
    bytes.set(guidToBytes(owner), at + LIST_HEADER);
    bytes.set(certificate, at + LIST_HEADER + OWNER);
    at += LIST_HEADER + OWNER + certificate.length;
  }
  return bytes;
}
