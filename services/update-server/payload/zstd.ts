/** zstd as this part uses it: whole frames, the same bytes from the same input. */
import {promisify} from 'node:util';
import {constants, zstdCompress, zstdDecompress} from 'node:zlib';

const compressAsync = promisify(zstdCompress);
const decompressAsync = promisify(zstdDecompress);

/** A frame of `bytes`; with `dictionary`, one that draws on those raw bytes and needs them to be unpacked. */
export function compress(bytes: Uint8Array, level: number, dictionary?: Uint8Array): Promise<Uint8Array> {
  const reach = bytes.length + (dictionary?.length ?? 0);
  const params: Record<number, number> = {[constants.ZSTD_c_compressionLevel]: level};
  if (dictionary !== undefined)
    params[constants.ZSTD_c_windowLog] = Math.min(25, Math.max(17, Math.ceil(Math.log2(reach)) + 1));
  return compressAsync(bytes, {
    params,
    pledgedSrcSize: bytes.length,
    ...(dictionary === undefined
      ? {}
      : {dictionary: Buffer.from(dictionary.buffer, dictionary.byteOffset, dictionary.length)}),
  });
}

export function decompress(frame: Uint8Array, size: number): Promise<Uint8Array> {
  return decompressAsync(frame, {maxOutputLength: size});
}

/** Runs `work` over `items`, two at a time, and hands the results over in order. */
export async function inOrder<Item, Result>(
  items: readonly Item[],
  work: (item: Item, index: number) => Promise<Result>,
  use: (result: Result, index: number) => Promise<void>,
): Promise<void> {
  const ahead = 3;
  const running: Promise<Result>[] = [];
  const start = (index: number) => {
    const item = items[index];
    if (item === undefined) return;
    const promise = work(item, index);
    // A later item may fail while an earlier one is waited for; it is reported when its turn comes.
    promise.catch(() => undefined);
    running.push(promise);
  };
  for (let index = 0; index < Math.min(ahead, items.length); index += 1) start(index);
  for (let index = 0; index < items.length; index += 1) {
    const result = await running.shift();
    start(index + ahead);
    if (result !== undefined) await use(result, index);
  }
}
