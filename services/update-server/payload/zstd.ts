/** zstd as this part uses it: whole frames, the same bytes from the same input. */
import {promisify} from 'node:util';
import {constants, zstdCompress, zstdDecompress} from 'node:zlib';

const compressAsync = promisify(zstdCompress);
const decompressAsync = promisify(zstdDecompress);

export interface FrameOptions {
  /** Raw bytes that the frame draws on, and needs to be unpacked. */
  readonly dictionary?: Uint8Array | undefined;
  /** Otherwise the level's own, or what the dictionary needs. */
  readonly windowLog?: number;
}

/** A frame of `bytes`. */
export function compress(
  bytes: Uint8Array,
  level: number,
  {dictionary, windowLog}: FrameOptions = {},
): Promise<Uint8Array> {
  const params: Record<number, number> = {[constants.ZSTD_c_compressionLevel]: level};
  const reach = bytes.length + (dictionary?.length ?? 0);
  const window =
    windowLog ??
    (dictionary === undefined ? undefined : Math.min(25, Math.max(17, Math.ceil(Math.log2(reach)) + 1)));
  if (window !== undefined) params[constants.ZSTD_c_windowLog] = window;
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
