/** What a machine believed last, on its disk: `root.json`, `timestamp.json`, `snapshot.json`, `targets.json`. */
import {mkdir, readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {unlessMissing} from '../../common/errors.ts';
import {writeFileAtomic} from '../../common/fs-atomic.ts';
import {sha256} from '../../common/hash.ts';
import type {TrustedFiles, VerifiedFiles} from '../../common/tuf/client.ts';

// The timestamp goes last: it names the snapshot, which names the targets. Any mixture that a power cut leaves is
// sound, since each file is verified again against the others when it is loaded.
const kept = ['targets', 'snapshot', 'timestamp'] as const;
/** SHA-256 of the root that the machine was given and that the folder's content grew from. */
const ORIGIN = 'origin';

export interface TrustedFolder {
  /** What is kept, or the given root alone. */
  load(): Promise<TrustedFiles>;
  saveRoot(bytes: Uint8Array): Promise<void>;
  save(files: VerifiedFiles): Promise<void>;
}

/**
 * Opens `folder` for a machine that was given `root`. When the operator gave it another root since, all that grew
 * from the old one is dropped: that is how a machine is moved to another repository.
 */
export async function openTrustedFolder(folder: string, root: Uint8Array): Promise<TrustedFolder> {
  await mkdir(folder, {recursive: true, mode: 0o700});
  const origin = sha256(root);
  const path = (name: string) => join(folder, `${name}.json`);
  if ((await unlessMissing(readFile(join(folder, ORIGIN))))?.toString('utf8') !== origin) {
    for (const name of [...kept, 'root']) await rm(path(name), {force: true});
    await writeFileAtomic(join(folder, ORIGIN), origin);
  }
  const saved = new Map<string, string>();
  const save = async (name: string, bytes: Uint8Array) => {
    const hash = sha256(bytes);
    if (saved.get(name) === hash) return; // a poll that learns nothing writes nothing
    await writeFileAtomic(path(name), bytes);
    saved.set(name, hash);
  };
  const read = async (name: string) => {
    const bytes = await unlessMissing(readFile(path(name)));
    if (bytes !== undefined) saved.set(name, sha256(bytes));
    return bytes;
  };
  return {
    load: async () => ({
      root: (await read('root')) ?? root,
      timestamp: await read('timestamp'),
      snapshot: await read('snapshot'),
      targets: await read('targets'),
    }),
    saveRoot: async bytes => save('root', bytes),
    save: async files => {
      await save('root', files.root);
      for (const name of kept) await save(name, files[name]);
    },
  };
}
