/** Two clients that share no code of ours: tuf-js' own Updater, and the machine's trust. */
import {mkdir, mkdtemp, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {DownloadHTTPError} from 'tuf-js/dist/error.js';
import {Updater, type TargetFile} from 'tuf-js';
import {folderSource, type RepositorySource} from '../../../services/common/tuf/source.ts';
import {openTrust, type Trust, type TrustOptions} from '../../../services/update-agent/trust/trust.ts';
import type {Bench} from './support.ts';

export interface Client {
  /** Refreshes; the versions that it sees. Rejects as the client does. */
  versions(): Promise<string[]>;
}

/** Machines keep what they verified; each call of this makes one that knows only `root`. */
export async function machine(
  bench: Bench,
  over: Partial<TrustOptions> = {},
): Promise<Client & {readonly folder: string; open(): Promise<Trust>}> {
  const folder = await mkdtemp(join(bench.home, 'machine-'));
  const open = async () =>
    openTrust({
      root: bench.firstRoot,
      folder,
      repositories: [folderSource(bench.repository)],
      now: () => bench.time.now,
      ...over,
    });
  return {
    folder,
    open,
    versions: async () =>
      (await open())
        .releases()
        .map(({version}) => version)
        .sort(),
  };
}

/** tuf-js as published, over the same files. Its clock is the system's, so the bench's time is set into it. */
export async function independentClient(bench: Bench, source?: RepositorySource): Promise<Client> {
  const folder = await mkdtemp(join(bench.home, 'tuf-js-'));
  await mkdir(join(folder, 'targets'));
  await writeFile(join(folder, 'root.json'), bench.firstRoot);
  return {
    versions: async () => {
      const updater = openUpdater(folder, source ?? folderSource(bench.repository));
      updater['trustedSet']['referenceTime'] = bench.time.now;
      await updater.refresh();
      const targets: Record<string, TargetFile> = updater['trustedSet'].targets?.signed.targets ?? {};
      const versions = [];
      for (const [name, target] of Object.entries(targets)) {
        await updater.downloadTarget(target);
        versions.push(name.replace(/^releases\/(.*)\.json$/, '$1'));
      }
      return versions.sort();
    },
  };
}

const BASE = 'http://repository.invalid/';

function openUpdater(folder: string, source: RepositorySource): Updater {
  const read = async (url: string, maxLength: number): Promise<Buffer> => {
    try {
      return Buffer.from(await source.read(decodeURIComponent(url.slice(BASE.length)), maxLength));
    } catch {
      throw new DownloadHTTPError('not there', 404);
    }
  };
  return new Updater({
    metadataDir: folder,
    metadataBaseUrl: `${BASE}metadata`,
    targetDir: join(folder, 'targets'),
    targetBaseUrl: `${BASE}targets`,
    fetcher: {
      downloadBytes: read,
      downloadFile: async (url, maxLength, handler) => {
        const path = join(folder, 'download');
        await writeFile(path, await read(url, maxLength));
        return handler(path);
      },
    },
  });
}
