/** The /usr file system (erofs) and its dm-verity tree: the root hash names the release. */
import {open, readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {sha256} from '../../services/common/hash.ts';
import {ImageError} from '../errors.ts';
import {runTool, type BuildContext} from './context.ts';

/** DESIGN.md D1; image bytes beyond 60 % of the slot fail the build by the budget. */
export const slotBytes = 2 * 1024 ** 3;
export const treeBytes = 32 * 1024 ** 2;

export interface UsrImage {
  readonly usr: string;
  readonly tree: string;
  readonly rootHash: string;
  readonly bytes: number;
}

/** Packs `work/usr` into `work/usr.erofs` and `work/usr.verity`. */
export async function buildUsrImage(context: BuildContext, work: string): Promise<UsrImage> {
  const binds = {[work]: '/build'};
  const {epoch, seed} = context.lock;
  // Stored plain: an update then shares all blocks that did not change (D4), and no boot decompresses anything.
  await runTool(
    context,
    ['mkfs.erofs', '--quiet', `-T${epoch}`, `-U${seed}`, '-x-1', '/build/usr.erofs', '/build/usr'],
    binds,
  );
  const usr = join(work, 'usr.erofs');
  const {size} = await stat(usr);
  const bytes = Math.ceil(size / 4096) * 4096;
  if (bytes > slotBytes) {
    throw new ImageError('over-budget', `/usr needs ${bytes} bytes, its slot has ${slotBytes}`, {
      remedy: 'take packages out of the recipe',
    });
  }
  await pad(usr, bytes);
  // One salt for all releases: the same block then has the same leaf hash in each of them (D4).
  const salt = sha256(`hawser verity salt\0${seed}`);
  await runTool(
    context,
    [
      'veritysetup',
      'format',
      `--salt=${salt}`,
      `--uuid=${seed}`,
      '--root-hash-file=/build/roothash',
      '/build/usr.erofs',
      '/build/usr.verity',
    ],
    binds,
  );
  const rootHash = (await readFile(join(work, 'roothash'), 'utf8')).trim();
  return {usr, tree: join(work, 'usr.verity'), rootHash, bytes};
}

async function pad(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.truncate(bytes);
  } finally {
    await file.close();
  }
}
