/** DNS messages, as far as names of containers go: one question, addresses or nothing for an answer (RFC 1035). Pure. */

export interface Question {
  /** Lower case, without the dot at the end. */
  readonly name: string;
  readonly type: number;
}

export const TYPE_A = 1;
const CLASS_IN = 1;
const HEADER_BYTES = 12;
/** What fits into 512 bytes beside the longest question: 16 bytes an answer. */
const MAX_ANSWERS = 14;

export type Verdict = 'answer' | 'refused' | 'malformed';
const codes = {answer: 0, malformed: 1, refused: 5} as const satisfies Record<Verdict, number>;

/** The question of a query; undefined when it is not a plain one. */
export function readQuestion(query: Uint8Array): Question | undefined {
  const bytes = Buffer.from(query.buffer, query.byteOffset, query.byteLength);
  if (bytes.length < HEADER_BYTES || (bytes.readUInt16BE(2) & 0xf8_00) !== 0 || bytes.readUInt16BE(4) !== 1)
    return undefined;
  const end = questionEnd(bytes);
  if (end === undefined || bytes.readUInt16BE(end - 2) !== CLASS_IN) return undefined;
  const labels: string[] = [];
  for (let at = HEADER_BYTES; (bytes[at] ?? 0) !== 0; at += 1 + (bytes[at] ?? 0))
    labels.push(bytes.toString('latin1', at + 1, at + 1 + (bytes[at] ?? 0)));
  return {name: labels.join('.').toLowerCase(), type: bytes.readUInt16BE(end - 4)};
}

/** The answer to a query. An empty list of addresses says that the name exists, and has none of the type asked for. */
export function writeAnswer(
  query: Uint8Array,
  verdict: Verdict,
  addresses: readonly string[] = [],
  ttlSeconds = 0,
): Uint8Array {
  const bytes = Buffer.from(query.buffer, query.byteOffset, query.byteLength);
  const end = questionEnd(bytes);
  const header = Buffer.alloc(HEADER_BYTES);
  bytes.copy(header, 0, 0, 2);
  const wanted = bytes.length >= 4 ? bytes.readUInt16BE(2) & 0x01_00 : 0; // recursion desired is repeated
  header.writeUInt16BE(0x84_00 | wanted | codes[verdict], 2);
  const kept = end === undefined ? [] : addresses.slice(0, MAX_ANSWERS);
  header.writeUInt16BE(end === undefined ? 0 : 1, 4);
  header.writeUInt16BE(kept.length, 6);
  const question = end === undefined ? Buffer.alloc(0) : bytes.subarray(HEADER_BYTES, end);
  return Buffer.concat([header, question, ...kept.map(address => record(address, ttlSeconds))]);
}

function record(address: string, ttlSeconds: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16BE(0xc0_00 | HEADER_BYTES, 0); // the name of the question
  bytes.writeUInt16BE(TYPE_A, 2);
  bytes.writeUInt16BE(CLASS_IN, 4);
  bytes.writeUInt32BE(ttlSeconds, 6);
  bytes.writeUInt16BE(4, 10);
  for (const [index, octet] of address.split('.').entries()) bytes.writeUInt8(Number(octet), 12 + index);
  return bytes;
}

/** Where the first question ends; undefined when it is cut short or compressed, which no query's is. */
function questionEnd(bytes: Buffer): number | undefined {
  let at = HEADER_BYTES;
  for (;;) {
    const length = bytes[at];
    if (length === undefined || length > 63 || at - HEADER_BYTES > 255) return undefined;
    at += 1 + length;
    if (length === 0) return at + 4 <= bytes.length ? at + 4 : undefined;
  }
}
