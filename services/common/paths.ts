/** Where Hawser keeps its files. The only inputs are environment values that a main.ts hands in. */
import {join} from 'node:path';

export interface Paths {
  /** What must not be lost: machines, CA, keys, built images. Mode 0700. */
  readonly home: string;
  /** What can be fetched or built again: packages, roots, half-built images. */
  readonly cache: string;
}

/** `HAWSER_HOME` and `HAWSER_CACHE`, else the XDG folders. */
export function resolvePaths(env: Readonly<Record<string, string | undefined>>): Paths {
  const user = env['HOME'] ?? '/root';
  return {
    home: env['HAWSER_HOME'] ?? join(env['XDG_DATA_HOME'] ?? join(user, '.local', 'share'), 'hawser'),
    cache: env['HAWSER_CACHE'] ?? join(env['XDG_CACHE_HOME'] ?? join(user, '.cache'), 'hawser'),
  };
}

/** The image that `machine create` uses when none is named: a folder with `manifest.json`. */
export function currentImage(paths: Paths): string {
  return join(paths.home, 'images', 'current');
}
