/** Makes a piece of a boot file from the new /usr, by its recipe. */
import {mostArchiveBytes, mostPacking, readRecipe, type Recipe} from '../../common/payload/recipe.ts';
import type {SlotDevice} from './slot-device.ts';
import {pack, release, unpack} from './zstd.ts';

/** The piece, or undefined where the recipe leads to none; whether it is the right one is for the caller to check. */
export async function makePiece(slot: SlotDevice, packed: Uint8Array): Promise<Uint8Array | undefined> {
  const recipe = openRecipe(packed);
  if (recipe === undefined || !isBounded(recipe)) return undefined;
  const content = new Uint8Array(recipe.size);
  let at = 0;
  for (const part of recipe.parts) {
    const size = part.kind === 'literal' ? part.bytes.length : part.size;
    if (at + size > content.length) return undefined;
    if (part.kind === 'literal') content.set(part.bytes, at);
    else await slot.read(content.subarray(at, at + size), part.offset);
    at += size;
  }
  const made = at === content.length ? pack(content, recipe) : undefined;
  release(content);
  return made;
}

/** A recipe comes from the network and only its result is checked, so it must not be able to take much memory. */
function isBounded({level, windowLog, size}: Recipe): boolean {
  return (
    level >= 1 &&
    level <= mostPacking.level &&
    windowLog >= 10 &&
    windowLog <= mostPacking.windowLog &&
    size <= mostArchiveBytes
  );
}

function openRecipe(packed: Uint8Array): Recipe | undefined {
  try {
    return readRecipe(unpack(packed, undefined, {}));
  } catch {
    return undefined; // damaged: the piece itself is fetched then
  }
}
