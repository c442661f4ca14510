/**
 * Signatures of PE images apart from the images (Windows Authenticode Portable Executable Signature Format):
 * the digest that is signed, and taking a signature off and putting it back byte for byte.
 */
import {sha256} from '../../services/common/hash.ts';
import {FormatError} from '../../services/common/formats/errors.ts';
import {parsePe, type Pe} from '../../services/common/formats/pe.ts';

const SIGNATURE_HEADER = 8;

/** A signed image taken apart. */
export interface DetachedSignature {
  /** The image as {@link canonicalUnsigned} writes it. */
  readonly unsigned: Uint8Array;
  /** As {@link signatureOf} gives it. */
  readonly signature: Uint8Array;
}

/**
 * What signing added to an image, as a file of its own, or undefined for an unsigned one: the CheckSum field
 * (u32), four zero bytes, then the certificate table (one or more WIN_CERTIFICATE entries) as it stood. The
 * checksum is carried because signers differ in how they compute it: nothing depends on its value, but
 * a published image must come out byte for byte.
 */
export function signatureOf(pe: Pe): Uint8Array | undefined {
  const table = pe.certificateTable;
  if (table === undefined) return undefined;
  const signature = new Uint8Array(SIGNATURE_HEADER + table.size);
  signature.set(pe.bytes.subarray(pe.checksumOffset, pe.checksumOffset + 4));
  signature.set(pe.bytes.subarray(table.offset, table.offset + table.size), SIGNATURE_HEADER);
  return signature;
}

/**
 * Lower-case hex SHA-256 that a signature of this image signs: everything but the checksum, the certificate
 * table and its directory entry. The same before and after signing.
 */
export function authenticodeDigest(pe: Pe): string {
  const {bytes, checksumOffset, certificateEntryOffset, headersSize} = pe;
  const parts = [
    bytes.subarray(0, checksumOffset),
    bytes.subarray(checksumOffset + 4, certificateEntryOffset),
    bytes.subarray(certificateEntryOffset + 8, headersSize),
  ];
  let end = headersSize;
  const stored = pe.sections.filter(section => section.rawSize > 0);
  for (const section of stored.toSorted((a, b) => a.rawOffset - b.rawOffset)) {
    parts.push(bytes.subarray(section.rawOffset, section.rawOffset + section.rawSize));
    end += section.rawSize;
  }
  // Authenticode step 14: what follows the hashed bytes, less the certificate table, which must come last.
  const rest = bytes.length - (pe.certificateTable?.size ?? 0);
  if (rest > end) parts.push(bytes.subarray(end, rest));
  // Signers pad the image to 8 bytes before they append the table, so the padding is part of what is signed.
  parts.push(new Uint8Array(padding(Math.max(rest, end))));
  return sha256(concat(parts));
}

/**
 * The form in which unsigned images are compared: padded to 8 bytes, checksum zero. Signing changes nothing
 * else, so a rebuilt image equals a published one exactly when these are equal. Throws `already-signed`.
 */
export function canonicalUnsigned(image: Uint8Array): Uint8Array {
  const pe = parsePe(image);
  if (pe.certificateTable !== undefined)
    throw new FormatError('already-signed', 'the image carries a signature');
  const unsigned = concat([image, new Uint8Array(padding(image.length))]);
  unsigned.fill(0, pe.checksumOffset, pe.checksumOffset + 4);
  return unsigned;
}

/**
 * Puts a signature back on an unsigned image. For one that {@link detachSignature} took off, the result is the
 * signed image byte for byte. Throws `already-signed`, `bad-certificate-table`, and as {@link parsePe}. It does
 * not check that the signature is of this image: sbverify and the firmware do.
 */
export function attachSignature(unsigned: Uint8Array, signature: Uint8Array): Uint8Array {
  const image = canonicalUnsigned(unsigned);
  const {checksumOffset, certificateEntryOffset} = parsePe(image);
  const table = signature.subarray(SIGNATURE_HEADER);
  if (table.length === 0 || signature.subarray(4, SIGNATURE_HEADER).some(byte => byte !== 0)) {
    throw new FormatError('bad-certificate-table', 'this is not a detached signature');
  }
  const signed = concat([image, table]);
  const view = new DataView(signed.buffer);
  view.setUint32(certificateEntryOffset, image.length, true);
  view.setUint32(certificateEntryOffset + 4, table.length, true);
  signed.set(signature.subarray(0, 4), checksumOffset);
  parsePe(signed);
  return signed;
}

/**
 * Takes the certificate table off a signed image. Throws `not-signed`, and `not-reattachable` when putting it
 * back would not give the same bytes: there are bytes after the table.
 */
export function detachSignature(signed: Uint8Array): DetachedSignature {
  const pe = parsePe(signed);
  const signature = signatureOf(pe);
  if (signature === undefined || pe.certificateTable === undefined) {
    throw new FormatError('not-signed', 'the image carries no signature');
  }
  const stripped = new Uint8Array(signed.subarray(0, pe.certificateTable.offset)); // not slice: of a Buffer that is a view
  stripped.fill(0, pe.certificateEntryOffset, pe.certificateEntryOffset + 8);
  const unsigned = canonicalUnsigned(stripped);
  if (!equal(attachSignature(unsigned, signature), signed)) {
    throw new FormatError('not-reattachable', 'the signature cannot be put back to give the same image', {
      remedy: 'sign the image with sbsign or systemd-sbsign',
    });
  }
  return {unsigned, signature};
}

/**
 * Several signatures of one image as one: firmware starts the image when one of them is by a key that it trusts, and
 * none by a key that it was told to refuse.
 */
export function joinSignatures(first: Uint8Array, ...others: readonly Uint8Array[]): Uint8Array {
  return concat([first, ...others.map(signature => signature.subarray(SIGNATURE_HEADER))]);
}

function padding(length: number): number {
  return (8 - (length % 8)) % 8;
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
