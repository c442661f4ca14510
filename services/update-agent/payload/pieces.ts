/** Fetches checked pieces of the store: neighbours in one request, a damaged one again from the next repository. */
import {createHash} from 'node:crypto';
import {PayloadError, type PayloadLayer} from '../../common/payload/errors.ts';
import type {Extent} from '../../common/payload/layout.ts';
import {coalesce} from '../../common/payload/ranges.ts';
import type {RangeReader} from './range-reader.ts';

export interface Piece extends Extent {
  /** Takes the bytes if they are what they should be; `false`, or throwing DamageError, means that they are not. */
  accept(bytes: Uint8Array): Promise<void>;
}

/** Thrown by `accept`: these bytes are not what the metadata leads to. */
export class DamageError extends Error {
  readonly what: Readonly<Record<string, unknown>>;
  constructor(what: Readonly<Record<string, unknown>>) {
    super('damaged');
    this.what = what;
  }
}

/** Unwanted bytes that are fetched rather than made a request of their own: about what one costs in headers. */
const GAP_BYTES = 512;

export interface PieceSource {
  readonly reader: RangeReader;
  readonly path: string;
  readonly signal: AbortSignal;
}

/**
 * Hands each piece to its `accept`, in the order of the store. A damaged one is fetched once more, from the next
 * repository; damaged again it throws {@link PayloadError} `payload-damaged` with the layer and what `accept` named.
 */
export async function fetchPieces(
  source: PieceSource,
  layer: PayloadLayer,
  pieces: readonly Piece[],
): Promise<void> {
  for (const span of coalesce(pieces, GAP_BYTES)) {
    const again: Piece[] = [];
    for await (const {piece, bytes} of piecesOf(source, span)) {
      if (!(await accepted(piece, bytes))) again.push(piece);
    }
    if (again.length === 0) continue;
    source.reader.distrust();
    for (const piece of again) {
      const bytes = await fetchBytes(source, piece);
      try {
        await piece.accept(bytes);
      } catch (error) {
        if (!(error instanceof DamageError)) throw error;
        throw damaged(layer, {...error.what, path: source.path, offset: piece.offset, size: piece.size});
      }
    }
  }
}

async function accepted(piece: Piece, bytes: Uint8Array): Promise<boolean> {
  try {
    await piece.accept(bytes);
    return true;
  } catch (error) {
    if (error instanceof DamageError) return false;
    throw error;
  }
}

/** All bytes of one extent. */
export async function fetchBytes({reader, path, signal}: PieceSource, extent: Extent): Promise<Uint8Array> {
  const bytes = new Uint8Array(extent.size);
  let at = 0;
  for await (const chunk of reader.read(path, extent, signal)) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

async function* piecesOf(
  {reader, path, signal}: PieceSource,
  span: Extent & {readonly pieces: readonly Piece[]},
): AsyncGenerator<{piece: Piece; bytes: Uint8Array}> {
  let position = span.offset;
  let index = 0;
  let piece = span.pieces[0];
  let bytes = new Uint8Array(piece?.size ?? 0);
  for await (const chunk of reader.read(path, span, signal)) {
    let rest = chunk;
    while (rest.length > 0 && piece !== undefined) {
      if (position < piece.offset) {
        const skip = Math.min(rest.length, piece.offset - position);
        rest = rest.subarray(skip);
        position += skip;
        continue;
      }
      const at = position - piece.offset;
      const part = rest.subarray(0, piece.size - at);
      bytes.set(part, at);
      rest = rest.subarray(part.length);
      position += part.length;
      if (at + part.length < piece.size) continue;
      yield {piece, bytes};
      index += 1;
      piece = span.pieces[index];
      bytes = new Uint8Array(piece?.size ?? 0);
    }
  }
}

/** A table of the store, which is what its hash says. */
export async function fetchTable(
  source: PieceSource,
  layer: PayloadLayer,
  table: Extent & {readonly sha256: string},
): Promise<Uint8Array> {
  let content = new Uint8Array();
  if (table.size === 0) return content;
  await fetchPieces(source, layer, [
    {
      ...table,
      accept: async bytes => {
        checkHash(bytes, Buffer.from(table.sha256, 'hex'), {offset: table.offset});
        content = new Uint8Array(bytes);
      },
    },
  ]);
  return content;
}

/** Accepts exactly the bytes with this SHA-256, or with one that starts so. */
export function checkHash(
  bytes: Uint8Array,
  expected: Uint8Array,
  what: Readonly<Record<string, unknown>>,
): void {
  const hash = createHash('sha256').update(bytes).digest().subarray(0, expected.length);
  if (!hash.equals(expected)) throw new DamageError(what);
}

export function damaged(layer: PayloadLayer, context: Readonly<Record<string, unknown>>): PayloadError {
  const where = ['block', 'piece', 'run']
    .map(name => ({name, value: context[name]}))
    .filter(({value}) => typeof value === 'number' || typeof value === 'string')
    .map(({name, value}) => `, ${name} ${JSON.stringify(value)}`)
    .join('');
  return new PayloadError('payload-damaged', `the payload is damaged in its ${layer}${where}`, {
    remedy: 'publish the release again, or copy the repository anew',
    context: {layer, ...context},
  });
}
