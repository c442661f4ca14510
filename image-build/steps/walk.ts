/** Names of everything below a folder. */
import {readdir} from 'node:fs/promises';
import {join, relative} from 'node:path';

/** Sorted relative paths of all entries; links are listed, never followed (readdir follows them without types). */
export async function walk(folder: string): Promise<string[]> {
  const entries = await readdir(folder, {recursive: true, withFileTypes: true});
  return entries.map(entry => relative(folder, join(entry.parentPath, entry.name))).sort();
}
