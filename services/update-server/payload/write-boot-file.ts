/** A boot file in the store: small pieces together, large ones alone, recipes for those that /usr can make. */
import {createHash} from 'node:crypto';
import {memorySource} from '../../common/formats/byte-source.ts';
import {sha256} from '../../common/hash.ts';
import {cutBootFile} from '../../common/payload/boot-cut.ts';
import type {Extent} from '../../common/payload/layout.ts';
import {
  pieceHashBytes,
  smallPieceBytes,
  type BootFile,
  type BootPiece,
} from '../../common/payload/piece-table.ts';
import {writeRecipe} from '../../common/payload/recipe.ts';
import type {BlockFinder} from './block-finder.ts';
import {findRecipe} from './find-recipe.ts';
import type {StoreWriter} from './store-writer.ts';
import {compress} from './zstd.ts';

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
  const smallOnes = cuts.filter(({size}) => size < smallPieceBytes).map(content);
  const small = await store.append(await compress(Buffer.concat(smallOnes), 19));
  const recipes: Uint8Array[] = [];
  const copies: Uint8Array[] = [];
  const pieces: BootPiece[] = [];
  for (const cut of cuts) {
    const bytes = content(cut);
    const hash = createHash('sha256').update(bytes).digest().subarray(0, pieceHashBytes);
    if (cut.size < smallPieceBytes) {
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
