/** Keys as files: `<folder>/<role>/<key id>.json`, 0600. */
import {mkdir, readdir, readFile, rename, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {Type} from 'typebox';
import {unlessMissing} from '../../../common/errors.ts';
import {createFileOnce, syncFolder, writeFileAtomic} from '../../../common/fs-atomic.ts';
import {parseJson, ParseError} from '../../../common/parse.ts';
import {ReleasesError} from '../errors.ts';
import {KeyFile, openKey, sealKey} from '../keys/key-file.ts';
import {generateKey, offlineRoles, signerOf, type Role} from '../keys/key.ts';
import type {KeyStore, PublisherMemory} from '../ports.ts';

export interface KeyFolders {
  /** Folders of root and targets keys; new ones and the publisher's memory go into the first. */
  readonly offline: readonly string[];
  /** Folder of snapshot and timestamp keys. */
  readonly online: string;
  readonly now: () => Date;
  /** Asked for once, and only when a key is sealed or is to be. Undefined: keys are made plain. */
  readonly passphrase: () => Promise<string | undefined>;
}

/** What is known of a key without opening it. */
export interface FoundKey {
  readonly role: Role;
  readonly keyId: string;
  readonly path: string;
  readonly sealed: boolean;
  readonly created: string;
}

const Memory = Type.Object({schema: Type.Literal(1), targets: Type.Integer({minimum: 0})});
const RETIRED = 'retired';

export function openKeyFolders(folders: KeyFolders): KeyStore {
  const {now} = folders;
  let asked: Promise<string | undefined> | undefined;
  const passphrase = () => (asked ??= folders.passphrase());
  return {
    memory: openMemory(folders.offline[0]),
    signers: async role => {
      const found = await findKeys(folders, role);
      return Promise.all(
        found.map(async ({path, sealed}) => {
          const file = await readKey(path);
          return signerOf(await openKey(file, path, sealed ? await passphrase() : undefined));
        }),
      );
    },
    create: async (role, count) => {
      const folder = join(foldersOf(folders, role)[0] ?? folders.online, role);
      await mkdir(folder, {recursive: true, mode: 0o700});
      const made = [];
      for (let index = 0; index < count; index++) {
        const key = generateKey();
        // A key of the server must open without a person.
        const secret = isOffline(role) ? await passphrase() : undefined;
        const file = await sealKey(key, role, now(), secret);
        await createFileOnce(join(folder, `${file.keyId}.json`), `${JSON.stringify(file, null, 2)}\n`);
        made.push(signerOf(key));
      }
      return made;
    },
    retire: async (role, keyIds) => {
      for (const {keyId, path} of await findKeys(folders, role)) {
        if (!keyIds.includes(keyId)) continue;
        const folder = join(path, '..', '..', RETIRED);
        await mkdir(folder, {recursive: true, mode: 0o700});
        await rename(path, join(folder, `${role}-${keyId}.json`));
        await syncFolder(folder);
      }
    },
  };
}

/** The keys of a role in its folders. Throws `keys-readable-by-others`. */
export async function findKeys(folders: KeyFolders, role: Role): Promise<readonly FoundKey[]> {
  const found = new Map<string, FoundKey>();
  for (const folder of foldersOf(folders, role)) {
    for (const name of await listFolder(join(folder, role))) {
      if (!name.endsWith('.json') || name.startsWith('.')) continue;
      const path = join(folder, role, name);
      const file = await readKey(path);
      if (file.role !== role) throw new ReleasesError('key-damaged', `${path} is a key for ${file.role}`);
      found.set(file.keyId, {
        role,
        keyId: file.keyId,
        path,
        sealed: file.sealed !== undefined,
        created: file.created,
      });
    }
  }
  return [...found.values()].sort((a, b) => (a.created < b.created ? -1 : 1));
}

function foldersOf({offline, online}: KeyFolders, role: Role): readonly string[] {
  return isOffline(role) ? offline : [online];
}

function isOffline(role: Role): boolean {
  return offlineRoles.some(offline => offline === role);
}

async function readKey(path: string): Promise<KeyFile> {
  if (((await stat(path)).mode & 0o077) !== 0) {
    throw new ReleasesError('keys-readable-by-others', `${path} can be read by others`, {
      remedy: `run: chmod 600 ${path}`,
    });
  }
  try {
    return parseJson(KeyFile, await readFile(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof ParseError) throw new ReleasesError('key-damaged', error.message, {cause: error});
    throw error;
  }
}

/** `root.json` (also what machines are given) and `publisher.json`; no offline folder, no memory. */
function openMemory(folder: string | undefined): PublisherMemory {
  const rootPath = join(folder ?? '', 'root.json');
  const path = join(folder ?? '', 'publisher.json');
  return {
    load: async () => {
      if (folder === undefined) return undefined;
      const [root, text] = await Promise.all([
        unlessMissing(readFile(rootPath)),
        unlessMissing(readFile(path)),
      ]);
      if (root === undefined || text === undefined) return undefined;
      return {root, targets: parseJson(Memory, text.toString('utf8'), path).targets};
    },
    save: async ({root, targets}) => {
      // A server that has the online keys alone remembers nothing: it signs no content.
      if (folder === undefined || !(await exists(folder))) return;
      await writeFileAtomic(path, `${JSON.stringify({schema: 1, targets})}\n`);
      await writeFileAtomic(rootPath, root, 0o644);
    },
  };
}

async function listFolder(folder: string): Promise<readonly string[]> {
  return (await unlessMissing(readdir(folder))) ?? [];
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
