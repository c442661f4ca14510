/** The disk as one compressed file, for publishing: by the locked zstd, so that it too comes out the same. */
import {createHash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {stat} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {constants, createZstdDecompress} from 'node:zlib';
import type {Artefact} from '../../services/common/contracts/image.ts';
import {sha256File} from '../../services/common/hash.ts';
import {ImageError} from '../errors.ts';
import {execInRoot} from '../tools-root.ts';
import type {BuildContext} from './context.ts';

/** 2^27 bytes: far repetitions are found, and every zstd unpacks it without an option. */
const WINDOW_LOG = 27;
const LEVEL = 19;
const TIMEOUT_MS = 2 * 3_600_000;

/** SHA-256 of what a file made by {@link compressDisk} unpacks to, lower-case hex. */
export async function sha256Unpacked(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(
    createReadStream(path, {highWaterMark: 1 << 20}),
    createZstdDecompress({params: {[constants.ZSTD_d_windowLogMax]: WINDOW_LOG}, chunkSize: 1 << 20}),
    async (pieces: AsyncIterable<Uint8Array>) => {
      for await (const piece of pieces) hash.update(piece);
    },
    {signal},
  );
  return hash.digest('hex');
}

/** Writes `disk` as `folder/file`, unpacks it again and compares its SHA-256 with `sha256`. */
export async function compressDisk(
  context: BuildContext,
  disk: string,
  sha256: string,
  file: string,
): Promise<Artefact> {
  const folder = dirname(disk);
  // -T0 asks for threads, and their number does not change the bytes; --single-thread would.
  await execInRoot({
    root: context.toolsRoot,
    binds: {[folder]: '/out'},
    argv: [
      'zstd',
      '-q',
      `-${LEVEL}`,
      `--long=${WINDOW_LOG}`,
      '-T0',
      `/out/${basename(disk)}`,
      '-o',
      `/out/${file}`,
    ],
    timeoutMs: TIMEOUT_MS,
    signal: context.signal,
  });
  const path = join(folder, file);
  if ((await sha256Unpacked(path, context.signal)) !== sha256)
    throw new ImageError('step-failed', `${file} does not unpack to the disk that it was made from`);
  return {file, size: (await stat(path)).size, sha256: await sha256File(path)};
}
