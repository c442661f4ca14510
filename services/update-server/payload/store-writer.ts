/** Writes the store from front to back under a temporary name and gives it its own hash as its name. */
import {createHash, randomBytes} from 'node:crypto';
import {link, open, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {repositoryFolders, type RepositoryFile} from '../../common/contracts/release.ts';
import {systemErrorCode} from '../../common/errors.ts';
import {syncFolder} from '../../common/fs-atomic.ts';
import type {Extent} from '../../common/payload/layout.ts';

export interface StoreWriter {
  readonly offset: number;
  append(bytes: Uint8Array): Promise<Extent>;
  /** Names the file; one that is there already is the same. */
  finish(): Promise<RepositoryFile>;
  /** Removes what was not finished. */
  discard(): Promise<void>;
}

/** A file of `folder` (a repository's `payloads`) that will be named `<sha256>.<ending>`. */
export async function createStoreWriter(folder: string, ending: string): Promise<StoreWriter> {
  const temporary = join(folder, `.${randomBytes(6).toString('hex')}.tmp`);
  const file = await open(temporary, 'wx', 0o644);
  const hash = createHash('sha256');
  let offset = 0;
  let closed = false;
  const close = async () => {
    if (!closed) await file.close();
    closed = true;
  };
  return {
    get offset() {
      return offset;
    },
    append: async bytes => {
      const extent = {offset, size: bytes.length};
      hash.update(bytes);
      for (let done = 0; done < bytes.length;) {
        done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
      }
      offset += bytes.length;
      return extent;
    },
    finish: async () => {
      await file.sync();
      await close();
      const sha256 = hash.digest('hex');
      try {
        await link(temporary, join(folder, `${sha256}.${ending}`));
      } catch (error) {
        if (systemErrorCode(error) !== 'EEXIST') throw error;
      }
      await rm(temporary, {force: true});
      await syncFolder(folder);
      return {path: `${repositoryFolders.payloads}/${sha256}.${ending}`, size: offset, sha256};
    },
    discard: async () => {
      await close();
      await rm(temporary, {force: true});
    },
  };
}
