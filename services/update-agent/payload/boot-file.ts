/** Kernel image and boot loader: equal pieces of the running file, what /usr can make, and the rest from the store. */
import {createHash} from 'node:crypto';
import {open, rename, rm, type FileHandle} from 'node:fs/promises';
import {dirname} from 'node:path';
import {systemErrorCode, unlessMissing} from '../../common/errors.ts';
import {FormatError} from '../../common/formats/errors.ts';
import {openFileSource} from '../../common/formats/file-source.ts';
import {syncFolder} from '../../common/fs-atomic.ts';
import {sha256File} from '../../common/hash.ts';
import {cutBootFile} from '../../common/payload/boot-cut.ts';
import type {PayloadLayer} from '../../common/payload/errors.ts';
import type {Extent} from '../../common/payload/layout.ts';
import {
  pieceHashBytes,
  placePieces,
  type BootFile,
  type BootPiece,
  type PiecePlace,
} from '../../common/payload/piece-table.ts';
import {makePiece} from './make-piece.ts';
import {checkHash, damaged, fetchPieces, type Piece, type PieceSource} from './pieces.ts';
import type {SlotDevice} from './slot-device.ts';
import {release, unpack} from './zstd.ts';

export interface BootFileInput {
  readonly source: PieceSource;
  /** The slot with the new /usr, proven. */
  readonly slot: SlotDevice;
  readonly layer: Extract<PayloadLayer, 'uki' | 'boot-loader'>;
  /** The file in its place now. */
  readonly running: string | undefined;
  readonly out: string;
}

/** Writes the file whole and durably; returns how many of its bytes did not come from the store. */
export async function writeBootFile(
  input: BootFileInput,
  head: BootFile,
  pieces: readonly BootPiece[],
): Promise<number> {
  const {out, layer} = input;
  if ((await unlessMissing(sha256File(out))) === head.sha256) return head.size;
  const part = `${out}.part`;
  // What an interrupted update wrote is looked at, so it is not truncated.
  await (await open(part, 'a')).close();
  const file = await open(part, 'r+');
  let reused: number;
  try {
    await file.truncate(head.size);
    const lacking = await reusePieces(input.running, file, placePieces(pieces, head));
    const rest = await makePieces(input, file, lacking);
    reused = head.size - rest.reduce((sum, {piece}) => sum + piece.size, 0);
    await fetchRest(input, head, pieces, file, rest);
    await file.sync();
  } finally {
    await file.close();
  }
  // Every piece fits its truncated hash; the whole must be what the manifest signs.
  if ((await sha256File(part)) !== head.sha256) {
    await rm(part);
    throw damaged(layer, {});
  }
  await rename(part, out);
  await syncFolder(dirname(out));
  return reused;
}

function pieceHash(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest().subarray(0, pieceHashBytes);
}

function nameOf(size: number, hash: Uint8Array): string {
  return `${size}:${Buffer.from(hash).toString('hex')}`;
}

/** Copies what the running file has; returns the places that neither it nor an interrupted update filled. */
async function reusePieces(
  running: string | undefined,
  file: FileHandle,
  places: readonly PiecePlace[],
): Promise<PiecePlace[]> {
  const lacking: PiecePlace[] = [];
  for (const place of places) {
    const bytes = new Uint8Array(place.piece.size);
    await file.read(bytes, 0, bytes.length, place.at);
    if (!pieceHash(bytes).equals(place.piece.hash)) lacking.push(place);
    release(bytes);
  }
  if (running === undefined || lacking.length === 0) return lacking;
  try {
    await using own = await openFileSource(running);
    const known = new Map<string, Extent>();
    for (const cut of await cutBootFile(own)) {
      const bytes = await own.read(cut.offset, cut.size);
      known.set(nameOf(cut.size, pieceHash(bytes)), cut);
      release(bytes);
    }
    const rest: PiecePlace[] = [];
    for (const place of lacking) {
      const extent = known.get(nameOf(place.piece.size, place.piece.hash));
      if (extent === undefined) {
        rest.push(place);
        continue;
      }
      const bytes = await own.read(extent.offset, extent.size);
      await write(file, bytes, place.at);
      release(bytes);
    }
    return rest;
  } catch (error) {
    // Without the running file the update costs more, and still goes on.
    if (error instanceof FormatError || systemErrorCode(error) === 'ENOENT') return lacking;
    throw error;
  }
}

/** Makes pieces from /usr; returns those for which that did not lead to the right bytes. */
async function makePieces(
  {source, slot, layer}: BootFileInput,
  file: FileHandle,
  lacking: readonly PiecePlace[],
): Promise<PiecePlace[]> {
  const rest = new Set(lacking);
  const recipes = lacking
    .filter(({piece}) => piece.recipe > 0)
    .map((place): Piece => ({
      offset: place.recipe,
      size: place.piece.recipe,
      accept: async packed => {
        const made = await makePiece(slot, packed);
        // Another zstd than the publisher's packs differently: the piece is then fetched like any other.
        if (made === undefined || !pieceHash(made).equals(place.piece.hash)) return;
        await write(file, made, place.at);
        release(made);
        rest.delete(place);
      },
    }));
  await fetchPieces(source, layer, recipes);
  return [...rest];
}

async function fetchRest(
  {source, layer}: BootFileInput,
  head: BootFile,
  pieces: readonly BootPiece[],
  file: FileHandle,
  rest: readonly PiecePlace[],
): Promise<void> {
  const small = rest.filter(({piece}) => piece.stored === 0);
  const wanted: Piece[] = rest
    .filter(({piece}) => piece.stored > 0)
    .map(({piece, at, stored}) => ({
      offset: stored,
      size: piece.stored,
      accept: async frame => {
        const bytes = piece.stored < piece.size ? unpack(frame, piece.size, {piece: at}) : frame;
        checkHash(bytes, piece.hash, {piece: at});
        await write(file, bytes, at);
        release(bytes);
        release(frame);
      },
    }));
  if (small.length > 0) {
    const total = pieces.reduce((sum, {size, stored}) => sum + (stored === 0 ? size : 0), 0);
    wanted.push({
      ...head.small,
      accept: async frame => {
        const bytes = unpack(frame, total, {piece: 'small'});
        for (const {piece, at, stored} of small) {
          const one = bytes.subarray(stored, stored + piece.size);
          checkHash(one, piece.hash, {piece: at});
          await write(file, one, at);
        }
      },
    });
  }
  await fetchPieces(source, layer, wanted);
}

async function write(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}
