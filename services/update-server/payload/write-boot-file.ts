/** A boot file in the store: small pieces together, large ones alone, recipes for those that /usr can make. */
import {createHash} from 'node:crypto';
import {memorySource} from '../../common/formats/byte-source.ts';
import {sha256} from '../../common/hash.ts';
import {cutBootFile} from '../../common/payload/boot-cut.ts';
import type {Extent} from '../../common/payload/layout.ts';
import {pieceHashBytes, type BootFile, type BootPiece} from '../../common/payload/piece-table.ts';
import {writeRecipe} from '../../common/payload/recipe.ts';
import type {BlockFinder} from './block-finder.ts';
import {findRecipe} from './find-recipe.ts';
import type {StoreWriter} from './store-writer.ts';
import {compress} from './zstd.ts';

/**
 * Pieces below this size go together: headers, command line, signatures, of which every release changes most. Archives
 * of the initrd do not, since few of them change.
 */
const SMALL_BYTES = 8192;
const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

function isSmall(bytes: Uint8Array): boolean {
  return bytes.length < SMALL_BYTES && Buffer.compare(bytes.subarray(0, 4), ZSTD_MAGIC) !== 0;
}

export interface StoredBootFile {
  readonly head: BootFile;
  readonly pieces: readonly BootPiece[];
}

/** Appends the pieces of `file` to `store`; `blocks` looks up what of them /usr holds. */
export async function writeBootFile(
  store: StoreWriter,
  file: Uint8Array,
  blocks: BlockFinder,
): Promise<StoredBootFile> {
  const cuts = await cutBootFile(memorySource(file));
  const content = ({offset, size}: Extent) => file.subarray(offset, offset + size);
  const smallOnes = cuts.map(content).filter(isSmall);
  const small = await store.append(await compress(Buffer.concat(smallOnes), 19));
  const recipes: Uint8Array[] = [];
  const copies: Uint8Array[] = [];
  const pieces: BootPiece[] = [];
  for (const cut of cuts) {
    const bytes = content(cut);
    const hash = createHash('sha256').update(bytes).digest().subarray(0, pieceHashBytes);
    if (isSmall(bytes)) {
      pieces.push({size: cut.size, hash, stored: 0, recipe: 0});
      continue;
    }
    const found = await findRecipe(bytes, blocks);
    const recipe = found === undefined ? new Uint8Array() : await compress(writeRecipe(found), 19);
    const packed = await compress(bytes, 19);
    const copy = packed.length < bytes.length ? packed : bytes;
    recipes.push(recipe);
    copies.push(copy);
    pieces.push({size: cut.size, hash, stored: copy.length, recipe: recipe.length});
  }
  const recipesAt = (await store.append(Buffer.concat(recipes))).offset;
  const storedAt = store.offset;
  for (const copy of copies) await store.append(copy);
  return {
    pieces,
    head: {
      size: file.length,
      sha256: sha256(file),
      pieces: pieces.length,
      small,
      recipes: recipesAt,
      stored: storedAt,
    },
  };
}
