/** A repository in a folder, as any web server serves it. */
import {mkdir, readdir, readFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import type {Clock} from '../../../common/clock.ts';
import {unlessMissing} from '../../../common/errors.ts';
import {writeFileAtomic} from '../../../common/fs-atomic.ts';
import {takeLock} from '../../../common/process-lock.ts';
import {ReleasesError} from '../errors.ts';
import type {RepositoryStore} from '../ports.ts';

export interface RepositoryFolders {
  /** Served to everybody. */
  readonly repository: string;
  /** Beside it, never inside: online keys and the publishers' lock. */
  readonly secret: string;
}

/** `<repository>` and `<repository>-keys`. */
export function repositoryFoldersOf(repository: string): RepositoryFolders {
  const folder = repository.replace(/\/+$/, '');
  return {repository: folder, secret: `${folder}-keys`};
}

const LOCK_WAIT_MS = 10_000;

export function openRepositoryFolder(folders: RepositoryFolders, clock: Clock): RepositoryStore {
  const {repository, secret} = folders;
  return {
    name: repository,
    read: path => unlessMissing(readFile(join(repository, path))),
    write: async (path, bytes) => {
      const file = join(repository, path);
      // Whatever the umask of the publisher: a web server under another user must be able to read it.
      await mkdir(dirname(file), {recursive: true, mode: 0o755});
      await writeFileAtomic(file, bytes, 0o644);
    },
    list: async folder => {
      const names = (await unlessMissing(readdir(join(repository, folder)))) ?? [];
      return names.filter(name => !name.startsWith('.'));
    },
    lock: async signal => {
      await mkdir(secret, {recursive: true, mode: 0o700});
      return takeLock({
        path: join(secret, 'publisher.lock'),
        waitMs: LOCK_WAIT_MS,
        clock,
        signal,
        busy: holder =>
          new ReleasesError('busy', `${repository} is being changed by process ${holder ?? '?'}`, {
            remedy:
              'wait until it has ended, or stop it: a repository stays whole when its publisher is killed',
          }),
      });
    },
  };
}
