/** Takes files out of a tree. */
import {glob, realpath, rm} from 'node:fs/promises';
import {dirname, join} from 'node:path';

/**
 * Removes what matches: `*` within a name, `**` over folders, names with a dot at the front included;
 * `folder/**` removes the folder too. A match behind a link is left alone, since the link may lead to another place
 * of the machine that builds; the link itself can be removed. What is absent is no error: one list serves many
 * package sets.
 */
export async function removeMatches(folder: string, patterns: readonly string[]): Promise<void> {
  const base = await realpath(folder);
  for (const pattern of patterns) {
    const whole = pattern.endsWith('/**') ? pattern.slice(0, -3) : pattern;
    for (const match of await Array.fromAsync(glob(whole, {cwd: base}))) {
      const parent = join(base, dirname(match));
      // The parent may be gone already, removed by an earlier match of the same pattern.
      const real = await realpath(parent).catch(() => undefined);
      if (real !== parent) continue;
      await rm(join(base, match), {recursive: true, force: true});
    }
  }
}
