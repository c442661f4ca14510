/** Machines moved from one computer's store to another's: one tar file with all that is needed to reach them. */
import {mkdtemp, readFile, readdir, rename, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {create, extract, replace} from 'tar';
import {Type} from 'typebox';
import {syncFolder, writeFileAtomic} from '../services/common/fs-atomic.ts';
import {parseJson} from '../services/common/parse.ts';
import {MachineError} from './errors.ts';
import {loadMachine} from './machine.ts';
import type {MachineDeps} from './machine.ts';
import {isMachineName} from './names.ts';
import {findDriver} from './registry.ts';
import {parseRecord} from './store/record.ts';

const Header = Type.Object({
  schema: Type.Literal(1),
  fleet: Type.String(),
  machines: Type.Array(Type.String()),
});
const HEADER = 'hawser-machines.json';

/** Writes `file` (0600: it holds private keys). Throws `bad-setting` for machines that live on this computer. */
export async function exportMachines(
  deps: MachineDeps,
  names: readonly string[],
  file: string,
): Promise<void> {
  for (const name of names) {
    const {record} = await loadMachine(deps.store, name);
    // A disk does not move with a record.
    if (findDriver(deps.registry, record.driver).local !== true) continue;
    throw new MachineError('bad-setting', `"${name}" lives on this computer (${record.driver})`, {
      remedy: 'only machines elsewhere can be moved to another store',
    });
  }
  const temporary = await mkdtemp(join(deps.store.root, '.export-'));
  try {
    const header = {schema: 1, fleet: await deps.store.fleet(deps.signal), machines: names};
    await writeFileAtomic(join(temporary, HEADER), `${JSON.stringify(header)}\n`);
    const tar = join(temporary, 'machines.tar');
    await create({file: tar, cwd: temporary, portable: true, mode: 0o600}, [HEADER]);
    for (const name of names) {
      // A folder of its own would be the driver's: what is in it is found again or made again.
      const entries = (await readdir(deps.store.folder(name), {withFileTypes: true}))
        .filter(entry => entry.isFile() && !entry.name.startsWith('.'))
        .map(entry => join(name, entry.name));
      await replace({file: tar, cwd: deps.store.root, portable: true}, entries);
    }
    await writeFileAtomic(file, await readFile(tar));
  } finally {
    await rm(temporary, {recursive: true, force: true});
  }
}

/** Returns the names. Throws `exists` before anything is changed when one is there already. */
export async function importMachines(deps: MachineDeps, file: string): Promise<readonly string[]> {
  const temporary = await mkdtemp(join(deps.store.root, '.import-'));
  try {
    await extract({file, cwd: temporary, strict: true});
    const header = parseJson(Header, await readFile(join(temporary, HEADER), 'utf8'), `${file} (${HEADER})`);
    const taken = new Set(await deps.store.names());
    for (const name of header.machines) {
      if (!isMachineName(name)) throw new MachineError('bad-name', `${file} holds "${name}"`);
      if (taken.has(name))
        throw new MachineError('exists', `Docker machine "${name}" already exists`, {
          remedy: 'remove it, or rename neither: names are part of certificates',
        });
      parseRecord(
        await readFile(join(temporary, name, 'machine.json'), 'utf8'),
        `${file} (${name}/machine.json)`,
      );
    }
    if (taken.size === 0) await deps.store.joinFleet(header.fleet, deps.signal);
    for (const name of header.machines) await rename(join(temporary, name), deps.store.folder(name));
    await syncFolder(deps.store.root);
    return header.machines;
  } finally {
    await rm(temporary, {recursive: true, force: true});
  }
}
