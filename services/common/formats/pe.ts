/**
 * Reader of PE images (PE Format specification): the headers that Secure Boot depends on and the section table.
 * Only EFI's kinds are read: PE32 and PE32+.
 */
import {FormatError} from './errors.ts';

export interface PeSection {
  readonly name: string;
  /** Bytes that count; the file's copy is padded to the file alignment. */
  readonly virtualSize: number;
  readonly virtualAddress: number;
  /** Offset and size of the section in the file. */
  readonly rawOffset: number;
  readonly rawSize: number;
}

export interface Pe {
  readonly bytes: Uint8Array;
  readonly machine: number;
  /** Offset of the optional header's CheckSum field. */
  readonly checksumOffset: number;
  /** Offset of the certificate table's data directory entry. */
  readonly certificateEntryOffset: number;
  /** SizeOfHeaders: bytes before the first section. */
  readonly headersSize: number;
  readonly sections: readonly PeSection[];
  /** Where the certificate table lies in the file; absent when the image is not signed. */
  readonly certificateTable?: {readonly offset: number; readonly size: number};
}

const MAGIC_PE32 = 0x10b;
const MAGIC_PE32_PLUS = 0x20b;
const CERTIFICATE_DIRECTORY = 4;
const SECTION_HEADER_SIZE = 40;

/**
 * Parses and checks the headers of a PE image. `fileSize` is given where `bytes` is only the start of the file, as far
 * as the headers go; the certificate table is then not looked into. Throws {@link FormatError}: `not-pe`, `bad-pe-header`,
 * `bad-pe-section` (out of the file, or overlapping), `bad-certificate-table`.
 */
export function parsePe(bytes: Uint8Array, fileSize = bytes.length): Pe {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 64 || view.getUint16(0, true) !== 0x5a4d)
    throw new FormatError('not-pe', 'this is not a PE image');
  const coff = view.getUint32(0x3c, true);
  if (coff + 24 > bytes.length || view.getUint32(coff, true) !== 0x4550) {
    throw new FormatError('not-pe', 'this is a DOS program, not a PE image');
  }
  const sectionCount = view.getUint16(coff + 6, true);
  const optionalSize = view.getUint16(coff + 20, true);
  const optional = coff + 24;
  const sectionTable = optional + optionalSize;
  if (optionalSize < 2 || sectionTable + sectionCount * SECTION_HEADER_SIZE > bytes.length) {
    throw new FormatError('bad-pe-header', 'the PE headers are cut off');
  }
  const magic = view.getUint16(optional, true);
  if (magic !== MAGIC_PE32 && magic !== MAGIC_PE32_PLUS) {
    throw new FormatError('bad-pe-header', 'the PE optional header is of an unknown kind');
  }
  const directories = optional + (magic === MAGIC_PE32_PLUS ? 112 : 96);
  const directoryCount = optionalSize < directories - optional ? 0 : view.getUint32(directories - 4, true);
  const certificateEntryOffset = directories + CERTIFICATE_DIRECTORY * 8;
  if (directoryCount <= CERTIFICATE_DIRECTORY || certificateEntryOffset + 8 > sectionTable) {
    throw new FormatError('bad-pe-header', 'the PE headers have no room for a signature');
  }
  const headersSize = view.getUint32(optional + 60, true);
  if (headersSize < sectionTable + sectionCount * SECTION_HEADER_SIZE || headersSize > bytes.length) {
    throw new FormatError('bad-pe-header', 'the PE headers are of a size that is not possible');
  }
  const sections = parseSections(view, sectionTable, sectionCount);
  const sectionsEnd = checkSections(sections, headersSize, fileSize);
  const offset = view.getUint32(certificateEntryOffset, true);
  const size = view.getUint32(certificateEntryOffset + 4, true);
  const signed = offset !== 0 || size !== 0;
  if (signed && fileSize === bytes.length) checkCertificateTable(view, offset, size, sectionsEnd);
  return {
    bytes,
    machine: view.getUint16(coff + 4, true),
    checksumOffset: optional + 64,
    certificateEntryOffset,
    headersSize,
    sections,
    ...(signed ? {certificateTable: {offset, size}} : {}),
  };
}

/** The content of a section, without the padding that aligns it in the file. */
export function sectionContent(pe: Pe, section: PeSection): Uint8Array {
  const size = Math.min(section.virtualSize, section.rawSize);
  return pe.bytes.subarray(section.rawOffset, section.rawOffset + size);
}

function parseSections(view: DataView, table: number, count: number): PeSection[] {
  return Array.from({length: count}, (_, index) => {
    const at = table + index * SECTION_HEADER_SIZE;
    let name = '';
    for (let i = 0; i < 8; i += 1) {
      const code = view.getUint8(at + i);
      if (code === 0) break;
      name += String.fromCharCode(code);
    }
    return {
      name,
      virtualSize: view.getUint32(at + 8, true),
      virtualAddress: view.getUint32(at + 12, true),
      rawSize: view.getUint32(at + 16, true),
      rawOffset: view.getUint32(at + 20, true),
    };
  });
}

/** Returns the end of the last section in the file. */
function checkSections(sections: readonly PeSection[], headersSize: number, fileSize: number): number {
  let end = headersSize;
  const stored = sections.filter(section => section.rawSize > 0);
  for (const section of stored.toSorted((a, b) => a.rawOffset - b.rawOffset)) {
    if (section.rawOffset + section.rawSize > fileSize) {
      throw new FormatError(
        'bad-pe-section',
        `the section ${section.name} reaches beyond the end of the file`,
      );
    }
    // Authenticode hashes headers and sections one after the other: an overlap would be hashed twice.
    if (section.rawOffset < end) {
      throw new FormatError('bad-pe-section', `the section ${section.name} overlaps another or the headers`);
    }
    end = section.rawOffset + section.rawSize;
  }
  return end;
}

function checkCertificateTable(view: DataView, offset: number, size: number, sectionsEnd: number): void {
  const bad = (why: string): never => {
    throw new FormatError('bad-certificate-table', `the certificate table ${why}`, {context: {offset, size}});
  };
  if (offset + size > view.byteLength) bad('reaches beyond the end of the file');
  if (offset < sectionsEnd) bad('overlaps a section');
  if (offset % 8 !== 0) bad('is not aligned to 8 bytes');
  // PE Format, "The Attribute Certificate Table": entries of dwLength bytes, each rounded up to 8.
  let at = offset;
  while (at < offset + size) {
    if (at + 8 > offset + size) bad('is cut off');
    const length = view.getUint32(at, true);
    if (length < 8 || at + length > offset + size) bad('has an entry of a length that is not possible');
    at += Math.ceil(length / 8) * 8;
  }
}
