/** A raw disk as the blocks that EBS stores: those that hold something, in order. */
import {open, type FileHandle} from 'node:fs/promises';

/** Bytes; the only size that EBS's direct interface has. */
export const BLOCK_BYTES = 524_288;
const GIB = 2 ** 30;
const zeros = Buffer.alloc(BLOCK_BYTES);

export interface Block {
  readonly index: number;
  /** Exactly {@link BLOCK_BYTES}; the last block of a disk is filled up with zeros. */
  readonly data: Buffer;
}

export interface DiskBlocks extends AsyncDisposable {
  /** Bytes of the disk. */
  readonly size: number;
  /** Of the volume that holds it. */
  readonly gib: number;
  read(index: number): Promise<Buffer>;
  /** All blocks that are not zero. */
  filled(): AsyncGenerator<Block>;
}

export async function openDisk(path: string): Promise<DiskBlocks> {
  const file = await open(path, 'r');
  const {size} = await file.stat();
  const read = (index: number) => readBlock(file, index);
  return {
    size,
    gib: Math.max(1, Math.ceil(size / GIB)),
    read,
    filled: async function* () {
      for (let index = 0; index * BLOCK_BYTES < size; index += 1) {
        const data = await read(index);
        if (!isZero(data)) yield {index, data};
      }
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

export function isZero(block: Uint8Array): boolean {
  return zeros.compare(block, 0, block.length, 0, block.length) === 0;
}

async function readBlock(file: FileHandle, index: number): Promise<Buffer> {
  const data = Buffer.alloc(BLOCK_BYTES);
  let done = 0;
  while (done < data.length) {
    const {bytesRead} = await file.read(data, done, data.length - done, index * BLOCK_BYTES + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return data;
}
