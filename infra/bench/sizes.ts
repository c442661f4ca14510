/** Bytes of an image as it is sent: the whole disk through one zstd level, the same for both. */
import {mkdir, mkdtemp, readFile, rm, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {execInRoot} from '../../image-build/tools-root.ts';
import {writeFileAtomic} from '../../services/common/fs-atomic.ts';

export const zstdLevel = 9;
const COMPRESS_TIMEOUT_MS = 900_000;

/** Compressed bytes of `raw`; remembered in `cache` under `key`, which names the disk's content. */
export async function compressedBytes(
  raw: string,
  key: string,
  toolsRoot: string,
  cache: string,
  signal: AbortSignal,
): Promise<number> {
  const remembered = join(cache, 'bench', `zstd${zstdLevel}-${key}`);
  const known = Number(await readFile(remembered, 'utf8').catch(() => ''));
  if (known > 0) return known;
  await mkdir(dirname(remembered), {recursive: true});
  const work = await mkdtemp(join(cache, 'bench', '.zstd-'));
  try {
    await execInRoot({
      root: toolsRoot,
      binds: {[dirname(raw)]: '/build', [work]: '/out'},
      argv: [
        'zstd',
        '-q',
        `-${zstdLevel}`,
        '--long=27',
        '-T0',
        `/build/${raw.slice(dirname(raw).length + 1)}`,
        '-o',
        '/out/disk.zst',
      ],
      timeoutMs: COMPRESS_TIMEOUT_MS,
      signal,
    });
    const {size} = await stat(join(work, 'disk.zst'));
    await writeFileAtomic(remembered, `${size}\n`, 0o644);
    return size;
  } finally {
    await rm(work, {recursive: true, force: true});
  }
}
