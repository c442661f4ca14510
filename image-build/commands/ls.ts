/** `hawser image ls`: what was built. */
import {realpath, stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {Command} from '../../services/common/command.ts';
import {HawserError} from '../../services/common/errors.ts';
import {resolvePaths} from '../../services/common/paths.ts';
import {megabytes} from '../contents/sizes.ts';
import {measureUsage} from '../disk-usage.ts';
import {imageFolders, openImage} from '../images.ts';
import {outputFlag} from './flags.ts';
import {printResult, table} from './output.ts';

export const lsCommand: Command = {
  name: 'image ls',
  summary: 'list the images that were built',
  arguments: {min: 0, max: 0},
  flags: [outputFlag],
  run: async (context, input) => {
    const images = join(resolvePaths(context.env).home, 'images');
    const current = await realpath(join(images, 'current')).catch(() => undefined);
    const rows: Row[] = [];
    for (const name of await imageFolders(images)) {
      const folder = join(images, name);
      const built = (await stat(folder)).mtime.toISOString().slice(0, 19).replace('T', ' ');
      const {bytes} = await measureUsage([folder]);
      rows.push({
        name,
        current: (await realpath(folder)) === current,
        built,
        bytes,
        ...(await describe(folder)),
      });
    }
    printResult(context, input, rows, () =>
      rows.length === 0
        ? ['there is no image yet: make one with "hawser image build"']
        : table([
            ['', 'NAME', 'VERSION', 'SIGNED', 'LOCKED', 'BUILT (UTC)', 'ON DISK'],
            ...rows.map(row => [
              row.current ? '*' : '',
              row.name,
              row.version,
              row.signed,
              row.locked,
              row.built,
              megabytes(row.bytes),
            ]),
          ]),
    );
    return 0;
  },
};

interface Row extends Description {
  readonly name: string;
  readonly current: boolean;
  readonly built: string;
  readonly bytes: number;
}

interface Description {
  readonly version: string;
  readonly signed: string;
  readonly locked: string;
  readonly problem?: string;
}

/** A folder that cannot be read as an image is listed too, so that it can be seen and pruned. */
async function describe(folder: string): Promise<Description> {
  try {
    const {manifest} = await openImage(folder);
    return {version: manifest.version, signed: yes(manifest.signed), locked: yes(manifest.locked)};
  } catch (error) {
    if (!(error instanceof HawserError)) throw error;
    return {version: '(damaged)', signed: '', locked: '', problem: error.message};
  }
}

function yes(value: boolean): string {
  return value ? 'yes' : 'no';
}
