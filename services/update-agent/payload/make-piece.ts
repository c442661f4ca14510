/** Makes a piece of a boot file from the new /usr, by its recipe. */
import {readRecipe, type Recipe} from '../../common/payload/recipe.ts';
import type {SlotDevice} from './slot-device.ts';
import {pack, unpack} from './zstd.ts';

/** One archive of the initrd, unpacked: made in memory. */
const MAX_BYTES = 32 * 1024 ** 2;

/** The piece, or undefined where the recipe leads to none; whether it is the right one is for the caller to check. */
export async function makePiece(slot: SlotDevice, packed: Uint8Array): Promise<Uint8Array | undefined> {
  const recipe = await openRecipe(packed);
  if (recipe === undefined || recipe.size > MAX_BYTES) return undefined;
  const content = new Uint8Array(recipe.size);
  let at = 0;
  for (const part of recipe.parts) {
    const size = part.kind === 'literal' ? part.bytes.length : part.size;
    if (at + size > content.length) return undefined;
    if (part.kind === 'literal') content.set(part.bytes, at);
    else await slot.read(content.subarray(at, at + size), part.offset);
    at += size;
  }
  return at === content.length ? pack(content, recipe.level) : undefined;
}

async function openRecipe(packed: Uint8Array): Promise<Recipe | undefined> {
  try {
    return readRecipe(await unpack(packed, undefined, {}));
  } catch {
    return undefined; // damaged: the piece itself is fetched then
  }
}
