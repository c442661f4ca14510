/** One hash for everything in a folder: names, modes that matter, links and bytes. */
import {createHash} from 'node:crypto';
import {lstat, readFile, readlink} from 'node:fs/promises';
import {join} from 'node:path';
import {walk} from './walk.ts';

/** SHA-256 over the sorted entries below `folder`. */
export async function hashFolder(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const name of await walk(folder)) {
    const path = join(folder, name);
    const info = await lstat(path);
    if (info.isSymbolicLink()) hash.update(`link\0${name}\0${await readlink(path)}\0`);
    else if (info.isFile()) {
      const content = await readFile(path);
      hash.update(`file\0${name}\0${(info.mode & 0o100) !== 0}\0${content.length}\0`).update(content);
    } else hash.update(`folder\0${name}\0`);
  }
  return hash.digest('hex');
}
