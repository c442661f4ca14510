/** GUIDs as UEFI stores them: the first three fields little-endian, the rest as written. */

/** The order in which the 16 stored bytes appear in the text form. */
const TEXT_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;

/** Lower-case text of the GUID at `offset`, which must lie 16 bytes before the end. */
export function guidFromBytes(bytes: Uint8Array, offset = 0): string {
  const hex = TEXT_ORDER.map(index => (bytes[offset + index] ?? 0).toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The 16 stored bytes of a GUID written as 8-4-4-4-12 hex digits. Throws RangeError on anything else. */
export function guidToBytes(text: string): Uint8Array {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text)) {
    throw new RangeError(`"${text.slice(0, 40)}" is not a GUID`);
  }
  const hex = text.replaceAll('-', '');
  const bytes = new Uint8Array(16);
  for (const [position, index] of TEXT_ORDER.entries()) {
    bytes[index] = Number.parseInt(hex.slice(position * 2, position * 2 + 2), 16);
  }
  return bytes;
}

/** The 16 bytes of a UUID in the order in which they are written (RFC 9562), as Linux stores them. */
export function guidToBytesInOrder(text: string): Uint8Array {
  const bytes = guidToBytes(text);
  return Uint8Array.from(TEXT_ORDER, index => bytes[index] ?? 0);
}

/** The inverse of {@link guidToBytesInOrder}, for the 16 bytes at `offset`. */
export function guidFromBytesInOrder(bytes: Uint8Array, offset = 0): string {
  const part = bytes.subarray(offset, offset + 16);
  return guidFromBytes(Uint8Array.from(TEXT_ORDER, index => part[index] ?? 0));
}
