/** Ranges of bytes to fetch: neighbours become one request, since each request costs some hundred bytes of headers. */
import type {Extent} from './layout.ts';

export interface Span<Piece extends Extent> extends Extent {
  /** In order, within the span. */
  readonly pieces: readonly Piece[];
}

/** Joins pieces (sorted or not) with at most `gap` unwanted bytes between them into spans of at most `limit` bytes. */
export function coalesce<Piece extends Extent>(
  pieces: readonly Piece[],
  gap: number,
  limit = Number.POSITIVE_INFINITY,
): Span<Piece>[] {
  const spans: {offset: number; size: number; pieces: Piece[]}[] = [];
  for (const piece of pieces.toSorted((a, b) => a.offset - b.offset)) {
    const last = spans.at(-1);
    const end = last === undefined ? 0 : last.offset + last.size;
    const pieceEnd = piece.offset + piece.size;
    if (last !== undefined && piece.offset - end <= gap && pieceEnd - last.offset <= limit) {
      last.pieces.push(piece);
      last.size = Math.max(end, pieceEnd) - last.offset;
    } else spans.push({offset: piece.offset, size: piece.size, pieces: [piece]});
  }
  return spans;
}
