/** Files as byte sources. */
import {open} from 'node:fs/promises';
import {checkRange, type ByteSource} from './byte-source.ts';
import {FormatError} from './errors.ts';

export interface FileSource extends ByteSource, AsyncDisposable {
  close(): Promise<void>;
}

/** Opens `path` for reading; close it, or hold it with `await using`. Throws Node's system errors. */
export async function openFileSource(path: string): Promise<FileSource> {
  const handle = await open(path, 'r');
  const {size} = await handle.stat();
  const close = () => handle.close();
  return {
    size,
    close,
    [Symbol.asyncDispose]: close,
    read: async (offset, length) => {
      checkRange(size, offset, length);
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const {bytesRead} = await handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0)
          throw new FormatError('truncated', 'a file became shorter while it was read', {context: {path}});
        done += bytesRead;
      }
      return bytes;
    },
  };
}
