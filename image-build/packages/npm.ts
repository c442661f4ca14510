/** npm tarballs as part of the lock: fetched by the machine's own npm configuration, checked by integrity. */
import {createHash} from 'node:crypto';
import {mkdir, mkdtemp, readFile, rename, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {Type} from 'typebox';
import {exec} from '../../services/common/exec.ts';
import {parseJson} from '../../services/common/parse.ts';
import {ImageError} from '../errors.ts';
import type {LockedTarball} from './lock.ts';

const NPM_TIMEOUT_MS = 300_000;
const View = Type.String({pattern: '^sha512-'});
const Packed = Type.Array(Type.Object({filename: Type.String()}), {minItems: 1});

/** Asks the registry for the integrity of an exact version. */
export async function resolveTarball(name: string, version: string, signal: AbortSignal): Promise<LockedTarball> {
  const shown = await exec(['npm', 'view', '--json', `${name}@${version}`, 'dist.integrity'], {timeoutMs: NPM_TIMEOUT_MS, signal}).catch((error: unknown) => {
    throw new ImageError('unknown-package', `npm has no ${name}@${version}`, {remedy: 'correct sources.npm in the recipe', cause: error});
  });
  return {name, version, integrity: parseJson(View, shown.stdout, `npm's answer for ${name}`)};
}

/** Path of the tarball in `folder`, fetched when absent. Throws `hash-mismatch` when its integrity differs. */
export async function fetchTarball(folder: string, entry: LockedTarball, signal: AbortSignal): Promise<string> {
  await mkdir(folder, {recursive: true});
  const target = join(folder, `${Buffer.from(entry.integrity.slice(7), 'base64').toString('hex')}.tgz`);
  if (await stat(target).catch(() => undefined)) return target;
  const work = await mkdtemp(join(folder, '.pack-'));
  try {
    const packed = await exec(['npm', 'pack', '--json', '--pack-destination', work, `${entry.name}@${entry.version}`], {
      timeoutMs: NPM_TIMEOUT_MS,
      signal,
    });
    const [first] = parseJson(Packed, packed.stdout, `npm's answer for ${entry.name}`);
    const file = join(work, first?.filename ?? '');
    const digest = createHash('sha512').update(await readFile(file)).digest('base64');
    if (`sha512-${digest}` !== entry.integrity) {
      throw new ImageError('hash-mismatch', `${entry.name}@${entry.version} has other bytes than the lock says`, {
        remedy: 'check the npm registry that this machine is configured for',
      });
    }
    await rename(file, target);
    return target;
  } finally {
    await rm(work, {recursive: true, force: true});
  }
}
