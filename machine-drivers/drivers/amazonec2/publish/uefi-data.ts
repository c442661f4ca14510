/**
 * UefiData: the UEFI variables with which an AMI's instances begin, in the format that AWS's python-uefivars documents by
 * its reader: "AMZNUEFI", CRC-32C of what follows, version 0, then a zlib stream of the variables. That stream may use a
 * dictionary that both sides know; ours uses none, which the format allows.
 */
import {deflateSync} from 'node:zlib';
import {guidToBytes} from '../../../../services/common/formats/guid.ts';
import {MachineError} from '../../../errors.ts';

/** The content of a `.auth` file and the time under which it was signed. */
export interface SignedVariable {
  readonly name: 'PK' | 'KEK' | 'db';
  /** EFI_TIME, 16 bytes. */
  readonly time: Uint8Array;
  /** EFI_SIGNATURE_LISTs. */
  readonly content: Uint8Array;
}

// UEFI Specification 2.10, 3.3 and 32.6.1
const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
const IMAGE_SECURITY = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f';
const vendors = {PK: GLOBAL, KEK: GLOBAL, db: IMAGE_SECURITY} as const;
// NON_VOLATILE | BOOTSERVICE_ACCESS | RUNTIME_ACCESS | TIME_BASED_AUTHENTICATED_WRITE_ACCESS
const ATTRIBUTES = 0x27;
const TIME_BYTES = 16;
const DIGEST_BYTES = 32;
/** AWS: of the base64 text. */
const LARGEST = 65_536;

/** EFI_VARIABLE_AUTHENTICATION_2 (UEFI 8.2.2): time, a certificate that tells its length, content. Throws `bad-setting`. */
export function readAuthFile(name: SignedVariable['name'], bytes: Uint8Array): SignedVariable {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length >= TIME_BYTES + 4 ? view.getUint32(TIME_BYTES, true) : bytes.length;
  const start = TIME_BYTES + length;
  if (start >= bytes.length)
    throw new MachineError('bad-setting', `the enrolment file of ${name} is damaged`, {
      remedy: 'build the image again',
    });
  return {name, time: bytes.slice(0, TIME_BYTES), content: bytes.slice(start)};
}

/** Base64, as RegisterImage takes it. Throws `bad-setting` when it is larger than AWS allows. */
export function uefiData(variables: readonly SignedVariable[]): string {
  const body = deflateSync(encodeVariables(variables), {level: 9});
  const versioned = Buffer.concat([uint32(0), body]);
  const blob = Buffer.concat([Buffer.from('AMZNUEFI', 'latin1'), uint32(crc32c(versioned)), versioned]);
  const text = blob.toString('base64');
  if (text.length <= LARGEST) return text;
  throw new MachineError('bad-setting', `the Secure Boot variables take ${text.length} of ${LARGEST} bytes`);
}

function encodeVariables(variables: readonly SignedVariable[]): Buffer {
  return Buffer.concat([
    uint64(variables.length),
    ...variables.flatMap(({name, time, content}) => [
      sized(Buffer.from(name, 'utf8')),
      sized(content),
      guidToBytes(vendors[name]),
      uint32(ATTRIBUTES),
      time,
      sized(new Uint8Array(DIGEST_BYTES)),
    ]),
  ]);
}

function sized(bytes: Uint8Array): Buffer {
  return Buffer.concat([uint64(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** CRC-32C (Castagnoli, RFC 3720 appendix B.4): not the CRC-32 of GPT and zlib. A few kilobytes, so without a table. */
export function crc32c(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  }
  return (value ^ 0xffffffff) >>> 0;
}
