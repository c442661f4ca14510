/** npm tarballs as part of the lock: fetched by the machine's own npm configuration, checked by integrity. */
import {createHash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {mkdir, mkdtemp, rename, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {Type} from 'typebox';
import {exec, ExecError} from '../../services/common/exec.ts';
import {parseJson} from '../../services/common/parse.ts';
import {isThere} from '../cache.ts';
import {ImageError} from '../errors.ts';
import type {LockedTarball} from './lock.ts';

const NPM_TIMEOUT_MS = 300_000;
const View = Type.String({pattern: '^sha512-'});
const Packed = Type.Array(Type.Object({filename: Type.String({pattern: '^[^/]+$'})}), {minItems: 1});

/** Asks the registry for the integrity of an exact version. Throws {@link ImageError} `unknown-package` when it has none. */
export async function resolveTarball(
  name: string,
  version: string,
  signal: AbortSignal,
): Promise<LockedTarball> {
  const argv = ['npm', 'view', '--json', `${name}@${version}`, 'dist.integrity'];
  const shown = await exec(argv, {timeoutMs: NPM_TIMEOUT_MS, signal}).catch((error: unknown) => {
    throw npmError(error, `${name}@${version}`);
  });
  // npm view of a version that does not exist prints nothing and succeeds.
  if (shown.stdout.trim() === '') throw unknownTarball(`${name}@${version}`);
  return {name, version, integrity: parseJson(View, shown.stdout, `npm's answer for ${name}`)};
}

/**
 * Path of the tarball in `folder`, fetched when absent or damaged. Throws {@link ImageError} `hash-mismatch` when
 * what npm brings has another integrity, `package-gone`, or `archive-unreachable`.
 */
export async function fetchTarball(
  folder: string,
  entry: LockedTarball,
  signal: AbortSignal,
): Promise<string> {
  await mkdir(folder, {recursive: true});
  const target = join(folder, `${Buffer.from(entry.integrity.slice(7), 'base64').toString('hex')}.tgz`);
  if ((await isThere(target)) && (await integrityOf(target)) === entry.integrity) return target;
  const what = `${entry.name}@${entry.version}`;
  const work = await mkdtemp(join(folder, '.pack-'));
  try {
    const argv = ['npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', work, what];
    const packed = await exec(argv, {timeoutMs: NPM_TIMEOUT_MS, signal}).catch((error: unknown) => {
      const failure = npmError(error, what);
      if (!(failure instanceof ImageError) || failure.code !== 'unknown-package') throw failure;
      throw new ImageError('package-gone', `npm no longer has ${what}`, {
        remedy: 'change sources.npm in the recipe and run "hawser image lock"',
        cause: error,
      });
    });
    const [first] = parseJson(Packed, packed.stdout, `npm's answer for ${entry.name}`);
    const file = join(work, first?.filename ?? '');
    if ((await integrityOf(file)) !== entry.integrity) {
      throw new ImageError('hash-mismatch', `${what} has other bytes than the lock says`, {
        remedy: 'check the npm registry that this machine is configured for',
      });
    }
    await rename(file, target);
    return target;
  } finally {
    await rm(work, {recursive: true, force: true});
  }
}

async function integrityOf(path: string): Promise<string> {
  const hash = createHash('sha512');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return `sha512-${hash.digest('base64')}`;
}

function npmError(error: unknown, what: string): unknown {
  if (!(error instanceof ExecError) || error.code !== 'failed') return error;
  if (/E404|ETARGET/.test(error.result.stderr + error.result.stdout)) return unknownTarball(what, error);
  return new ImageError('archive-unreachable', `npm could not answer for ${what}: ${error.message}`, {
    remedy: 'check the network and the npm registry that this machine is configured for',
    cause: error,
  });
}

function unknownTarball(what: string, cause?: unknown): ImageError {
  return new ImageError('unknown-package', `npm has no ${what}`, {
    remedy: 'correct sources.npm in the recipe',
    cause,
  });
}
