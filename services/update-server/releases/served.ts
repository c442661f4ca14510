/** A repository as the server that serves it sees it: its releases, and the signatures that must stay fresh. */
import type {Clock} from '../../common/clock.ts';
import {openKeyFolders} from './adapters/key-folders.ts';
import {openRepositoryFolder, repositoryFoldersOf} from './adapters/repository-folder.ts';
import {readCatalogue, type Catalogue} from './catalogue.ts';
import {defaultLifetimes, type Lifetimes} from './lifetimes.ts';
import {refreshRepository, type Refreshed} from './refresh.ts';
import {hasRepository} from './state.ts';

export interface ServedRepository {
  /** Static files: serve this folder, and nothing beside it. */
  readonly folder: string;
  /** False as long as `hawser release keys init` has not run. */
  exists(): Promise<boolean>;
  catalogue(): Promise<Catalogue>;
  /** To be called every hour or so. Cheap when nothing is due; of several servers over one folder one signs. */
  refresh(signal: AbortSignal): Promise<Refreshed>;
}

/** Needs no offline key and no passphrase. */
export function openServedRepository(
  folder: string,
  clock: Clock,
  lifetimes: Lifetimes = defaultLifetimes,
): ServedRepository {
  const folders = repositoryFoldersOf(folder);
  const store = openRepositoryFolder(folders, clock);
  const keys = openKeyFolders({
    offline: [],
    online: folders.secret,
    now: () => clock.now(),
    passphrase: () => Promise.resolve(undefined),
  });
  return {
    folder: folders.repository,
    exists: async () => hasRepository(store),
    catalogue: async () => readCatalogue(store),
    refresh: async signal => refreshRepository({store, keys, now: () => clock.now(), lifetimes, signal}),
  };
}
