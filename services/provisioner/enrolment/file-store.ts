/**
 * The ledger in a folder: `<folder>/<uuid>/<version>.json`. A version is made by link(2), which fails when it exists:
 * that is compare-and-swap between processes without a lock that could go stale. Old versions stay (a machine has two
 * or three): with them gone, a slow writer could take a number for free that was long used.
 */
import {mkdir, readdir, readFile, rm} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {systemErrorCode, unlessMissing} from '../../common/errors.ts';
import {createFileOnce, syncFolder} from '../../common/fs-atomic.ts';
import {parseJson} from '../../common/parse.ts';
import {EnrolmentError} from './errors.ts';
import {MachineRecord} from './ledger.ts';
import type {EnrolmentStore} from './ports.ts';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const VERSION = /^([1-9][0-9]{0,8})\.json$/;

/** Opens the store in `folder`, which is made (0700) on the first write. */
export function createFileStore(folder: string): EnrolmentStore {
  const place = (machine: string) => {
    // The name becomes a path: anything but a UUID is a bug of the caller.
    if (!UUID.test(machine))
      throw new EnrolmentError('malformed', `"${machine}" is not the UUID of a machine`);
    return join(folder, machine);
  };
  return {
    read: async machine => {
      const version = await newestVersion(place(machine));
      if (version === 0) return undefined;
      const path = join(place(machine), `${version}.json`);
      return {version, record: await readRecord(path, machine)};
    },
    write: async (record, version) => {
      const machineFolder = place(record.machine);
      if (version === 0 && (await mkdir(machineFolder, {recursive: true, mode: 0o700})) !== undefined) {
        await syncFolder(folder);
        await syncFolder(dirname(folder));
      }
      try {
        return await createFileOnce(
          join(machineFolder, `${version + 1}.json`),
          `${JSON.stringify(record)}\n`,
        );
      } catch (error) {
        // Removed since it was read.
        if (systemErrorCode(error) === 'ENOENT') return false;
        throw error;
      }
    },
    remove: async machine => {
      await rm(place(machine), {recursive: true, force: true});
    },
  };
}

async function newestVersion(folder: string): Promise<number> {
  const names = (await unlessMissing(readdir(folder))) ?? [];
  return Math.max(0, ...names.map(name => Number(VERSION.exec(name)?.[1] ?? 0)));
}

async function readRecord(path: string, machine: string): Promise<MachineRecord> {
  let record: MachineRecord;
  try {
    record = parseJson(MachineRecord, await readFile(path, 'utf8'), path);
  } catch (error) {
    throw broken(path, error);
  }
  if (record.machine !== machine) throw broken(path);
  return record;
}

function broken(path: string, cause?: unknown): EnrolmentError {
  return new EnrolmentError('store-broken', `${path} is not a record of the enrolment ledger`, {
    remedy: 'restore it from a backup, or remove the machine and create it again',
    cause,
  });
}
