/** Finds how a piece of the initrd is made from /usr: its archive's files stand there, block by block. */
import {blockBytes} from '../../common/payload/layout.ts';
import {archivePacking, mostArchiveBytes, type Recipe, type RecipePart} from '../../common/payload/recipe.ts';
import type {BlockFinder} from './block-finder.ts';
import {compress, decompress} from './zstd.ts';

/**
 * The recipe of `piece`, or undefined where it is no zstd frame, or not what packing its content as the image build does
 * (image-build/steps/initrd-archives.ts) gives again.
 */
export async function findRecipe(piece: Uint8Array, blocks: BlockFinder): Promise<Recipe | undefined> {
  let content: Uint8Array;
  try {
    content = await decompress(piece, mostArchiveBytes);
  } catch {
    return undefined; // not zstd, or too large
  }
  const {level, windowLog} = archivePacking;
  if (Buffer.compare(await compress(content, level, {windowLog}), piece) !== 0) return undefined;
  const parts = await cover(content, blocks);
  return parts.some(part => part.kind === 'usr')
    ? {...archivePacking, size: content.length, parts}
    : undefined;
}

/** `content` as literals and stretches of /usr. Files in a newc archive start at multiples of 4. */
async function cover(content: Uint8Array, blocks: BlockFinder): Promise<RecipePart[]> {
  const parts: RecipePart[] = [];
  let literalFrom = 0;
  const block = (at: number) => content.subarray(at, at + blockBytes);
  for (const at of fileStarts(content)) {
    const first = at.size >= blockBytes ? blocks.find(block(at.offset)) : -1;
    if (first === -1) continue;
    let whole = 1;
    while (
      (whole + 1) * blockBytes <= at.size &&
      blocks.has(first + whole, block(at.offset + whole * blockBytes))
    )
      whole += 1;
    let size = whole * blockBytes;
    const rest = at.size - size;
    if (rest > 0 && rest < blockBytes) {
      const tail = content.subarray(at.offset + size, at.offset + at.size);
      if (Buffer.compare(await blocks.start(first + whole, rest), tail) === 0) size += rest;
    }
    if (at.offset > literalFrom)
      parts.push({kind: 'literal', bytes: content.subarray(literalFrom, at.offset)});
    parts.push({kind: 'usr', offset: first * blockBytes, size});
    literalFrom = at.offset + size;
  }
  if (literalFrom < content.length) parts.push({kind: 'literal', bytes: content.subarray(literalFrom)});
  return parts;
}

/** Where the files of a newc archive (cpio(5), "New ASCII Format") have their content. */
function* fileStarts(content: Uint8Array): Generator<{offset: number; size: number}> {
  const field = (at: number) =>
    Number.parseInt(Buffer.from(content.subarray(at, at + 8)).toString('latin1'), 16);
  const aligned = (at: number) => Math.ceil(at / 4) * 4;
  for (let at = 0; at + 110 <= content.length;) {
    if (Buffer.from(content.subarray(at, at + 6)).toString('latin1') !== '070701') return;
    const size = field(at + 54);
    const offset = aligned(at + 110 + field(at + 94));
    if (!Number.isInteger(size) || !Number.isInteger(offset) || offset + size > content.length) return;
    yield {offset, size};
    at = aligned(offset + size);
  }
}
