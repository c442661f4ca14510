/** A boot file in the index: its pieces in order, and how a machine comes by each. */
import {Type, type Static} from 'typebox';
import {Hex64} from '../contracts/release.ts';
import type {ByteReader, ByteWriter} from './bytes.ts';

export const pieceHashBytes = 12;

export const BootFile = Type.Object({
  /** Bytes. */
  size: Type.Integer({minimum: 1}),
  sha256: Hex64,
  pieces: Type.Integer({minimum: 1, maximum: 65_536}),
  /** All small pieces of the file, one after the other, as one frame. */
  small: Type.Object({offset: Type.Integer({minimum: 0}), size: Type.Integer({minimum: 0})}),
  /** Where the recipes start, one after the other; then where the copies do. */
  recipes: Type.Integer({minimum: 0}),
  stored: Type.Integer({minimum: 0}),
});
export type BootFile = Static<typeof BootFile>;

export interface BootPiece {
  /** Bytes in the file. */
  readonly size: number;
  /** First bytes of its SHA-256. */
  readonly hash: Uint8Array;
  /** Bytes of its copy in the store, which is a zstd frame if that is smaller; 0 for a piece among the small ones. */
  readonly stored: number;
  /** Bytes of its recipe in the store, 0 for none: how to make it from /usr (recipe.ts). */
  readonly recipe: number;
}

export function writePieces(out: ByteWriter, pieces: readonly BootPiece[]): void {
  for (const {size, hash, stored, recipe} of pieces) {
    out.number(size);
    out.bytes(hash);
    out.number(stored);
    out.number(recipe);
  }
}

export function readPieces(reader: ByteReader, count: number): BootPiece[] {
  return Array.from({length: count}, () => {
    const size = reader.number();
    const hash = reader.bytes(pieceHashBytes);
    return {size, hash, stored: reader.number(), recipe: reader.number()};
  });
}

export interface PiecePlace {
  readonly piece: BootPiece;
  /** Offset in the file. */
  readonly at: number;
  /** Offset of a small piece in the frame of small ones, of another's copy in the store. */
  readonly stored: number;
  readonly recipe: number;
}

/** Where each piece and its recipe lie. */
export function placePieces(
  pieces: readonly BootPiece[],
  {stored, recipes}: Pick<BootFile, 'stored' | 'recipes'>,
): PiecePlace[] {
  let [at, small, copy, recipe] = [0, 0, stored, recipes];
  return pieces.map(piece => {
    const isSmall = piece.stored === 0;
    const place = {piece, at, stored: isSmall ? small : copy, recipe};
    at += piece.size;
    if (isSmall) small += piece.size;
    copy += piece.stored;
    recipe += piece.recipe;
    return place;
  });
}
