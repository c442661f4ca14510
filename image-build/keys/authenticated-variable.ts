/**
 * Signed updates of UEFI variables, the `.auth` files that systemd-boot enrols (UEFI Specification 2.10, 8.2.2,
 * EFI_VARIABLE_AUTHENTICATION_2). Bytes only: the signature itself is made elsewhere.
 */
import {guidToBytes} from '../../services/common/formats/guid.ts';
import {KeysError} from './errors.ts';

export interface SecureBootVariable {
  readonly name: 'PK' | 'KEK' | 'db' | 'dbx';
  /** GUID of the namespace that the variable belongs to. */
  readonly vendor: string;
}

const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
const IMAGE_SECURITY = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f';

/** The variables that make Secure Boot ours, in the order of their authority. */
export const secureBootVariables = {
  PK: {name: 'PK', vendor: GLOBAL},
  KEK: {name: 'KEK', vendor: GLOBAL},
  db: {name: 'db', vendor: IMAGE_SECURITY},
  dbx: {name: 'dbx', vendor: IMAGE_SECURITY},
} as const satisfies Record<string, SecureBootVariable>;

// EFI_VARIABLE: NON_VOLATILE | BOOTSERVICE_ACCESS | RUNTIME_ACCESS | TIME_BASED_AUTHENTICATED_WRITE_ACCESS
const ATTRIBUTES = 0x27;
// EFI_VARIABLE_APPEND_WRITE: what is there stays.
const APPEND = 0x40;
const CERT_TYPE_PKCS7 = '4aafd29d-68df-49ee-8aa9-347d375665a7';
const WIN_CERT_REVISION = 0x0200;
const WIN_CERT_TYPE_EFI_GUID = 0x0ef1;
const WIN_CERTIFICATE_UEFI_GUID_SIZE = 24;

/** EFI_TIME in UTC, to the second; what lies below, the zone and the padding must be zero in a signed update. */
export function efiTime(time: Date): Uint8Array {
  const year = time.getUTCFullYear();
  if (!(year >= 1900 && year <= 9999)) throw new KeysError('bad-time', 'UEFI has no way to write this time');
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint16(0, year, true);
  bytes[2] = time.getUTCMonth() + 1;
  bytes[3] = time.getUTCDate();
  bytes[4] = time.getUTCHours();
  bytes[5] = time.getUTCMinutes();
  bytes[6] = time.getUTCSeconds();
  return bytes;
}

/**
 * The bytes that the owner of the next higher key signs: name | vendor | attributes | time | new content. With `append`
 * the content is added to what the variable holds.
 */
export function variablePayload(
  variable: SecureBootVariable,
  time: Date,
  content: Uint8Array,
  append = false,
): Uint8Array {
  const name = utf16(variable.name); // without a NUL at its end
  const attributes = new Uint8Array(4);
  new DataView(attributes.buffer).setUint32(0, append ? ATTRIBUTES | APPEND : ATTRIBUTES, true);
  return join([name, guidToBytes(variable.vendor), attributes, efiTime(time), content]);
}

/** A `.auth` file: the time, the signature (DER SignedData, see {@link signedDataOf}) and the new content. */
export function encodeVariableUpdate(time: Date, signedData: Uint8Array, content: Uint8Array): Uint8Array {
  const certificate = new Uint8Array(WIN_CERTIFICATE_UEFI_GUID_SIZE);
  const view = new DataView(certificate.buffer);
  view.setUint32(0, WIN_CERTIFICATE_UEFI_GUID_SIZE + signedData.length, true);
  view.setUint16(4, WIN_CERT_REVISION, true);
  view.setUint16(6, WIN_CERT_TYPE_EFI_GUID, true);
  certificate.set(guidToBytes(CERT_TYPE_PKCS7), 8);
  return join([efiTime(time), certificate, signedData, content]);
}

const OID_SIGNED_DATA = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];

/**
 * The SignedData inside a PKCS#7 ContentInfo (DER), which is what openssl writes. UEFI 8.2.2 wants it without
 * the wrapper, and older firmware refuses the wrapper. Throws {@link KeysError} `bad-signed-data`.
 */
export function signedDataOf(contentInfo: Uint8Array): Uint8Array {
  const outer = derContent(contentInfo, 0x30);
  if (!OID_SIGNED_DATA.every((byte, index) => outer[index] === byte)) badSignedData();
  const signedData = derContent(outer.subarray(OID_SIGNED_DATA.length), 0xa0);
  derContent(signedData, 0x30);
  return signedData;
}

/** Content of the one DER element that `bytes` must be. */
function derContent(bytes: Uint8Array, tag: number): Uint8Array {
  const first = bytes[1] ?? badSignedData();
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (bytes[0] !== tag || first === 0x80 || lengthBytes > 4) badSignedData();
  let length = lengthBytes === 0 ? first : 0;
  for (const byte of bytes.subarray(2, 2 + lengthBytes)) length = length * 256 + byte;
  const start = 2 + lengthBytes;
  if (start + length !== bytes.length) badSignedData();
  return bytes.subarray(start);
}

function badSignedData(): never {
  throw new KeysError('bad-signed-data', 'the signature is not a DER-encoded PKCS#7 SignedData');
}

function utf16(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 2);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < text.length; i += 1) view.setUint16(i * 2, text.charCodeAt(i), true);
  return bytes;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
