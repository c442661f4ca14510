/** Which drivers outside the tree there are. Apart from the rest: every machine command asks. */
import {access, constants, readdir} from 'node:fs/promises';
import {delimiter, join} from 'node:path';

/** The executable of the driver NAME is called `hawser-driver-NAME`. */
const executablePrefix = 'hawser-driver-';

/** Names and paths; the first of a name on the PATH counts, as for every program. */
export async function findExternalDrivers(
  env: Readonly<Record<string, string | undefined>>,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    if (folder === '') continue;
    for (const entry of await readdir(folder).catch(() => [])) {
      const name = entry.startsWith(executablePrefix) ? entry.slice(executablePrefix.length) : '';
      const path = join(folder, entry);
      if (/^[a-z][a-z0-9-]*$/.test(name) && !found.has(name) && (await isExecutable(path)))
        found.set(name, path);
    }
  }
  return found;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
