/**
 * Records in a folder: `<folder>/<uuid>.<version>.json`. A version is made by link(2), which fails when it exists:
 * compare-and-swap between the server and the operator's commands, without a lock. A version never changes, so what was
 * parsed once is kept.
 */
import {appendFile, mkdir, readdir, readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {systemErrorCode} from '../../../common/errors.ts';
import {createFileOnce} from '../../../common/fs-atomic.ts';
import {parseJson} from '../../../common/parse.ts';
import {RackError} from '../errors.ts';
import type {RackStore, Stored} from '../ports.ts';
import {RackMachine} from '../record.ts';

const NAME = /^([0-9a-f-]{36})\.([1-9][0-9]{0,8})\.json$/;
/** Versions that are kept: the last states of a machine, for whoever has to find out what happened. */
const KEPT = 16;

/** Opens the store in `folder`, made (0700) when it is not there. */
export async function openFileStore(folder: string): Promise<RackStore> {
  const machines = join(folder, 'machines');
  const logs = join(folder, 'logs');
  const names = join(folder, 'names');
  for (const each of [machines, names, logs]) await mkdir(each, {recursive: true, mode: 0o700});
  const parsed = new Map<string, Stored>();

  const versions = async (): Promise<Map<string, number[]>> => {
    const found = new Map<string, number[]>();
    for (const name of await readdir(machines)) {
      const [, machine, version] = NAME.exec(name) ?? [];
      if (machine === undefined) continue;
      found.set(machine, [...(found.get(machine) ?? []), Number(version)]);
    }
    return found;
  };
  const load = async (machine: string, version: number): Promise<Stored> => {
    const known = parsed.get(machine);
    if (known?.version === version) return known;
    const path = join(machines, `${machine}.${version}.json`);
    const stored = {machine: await readRecord(path), version};
    parsed.set(machine, stored);
    return stored;
  };
  return {
    list: async () =>
      Promise.all(
        [...(await versions())].map(async ([machine, all]) => {
          for (;;) {
            try {
              return await load(machine, Math.max(...all));
            } catch (error) {
              // Replaced and tidied away since the folder was read.
              if (systemErrorCode(error) !== 'ENOENT') throw error;
              all.push(...((await versions()).get(machine) ?? []));
            }
          }
        }),
      ),
    write: async (machine, version) => {
      const path = (each: number) => join(machines, `${machine.machine}.${each}.json`);
      const before = (await versions()).get(machine.machine) ?? [];
      // A number far behind could be free again, since old versions go.
      if (Math.max(0, ...before) !== version) return false;
      if (!(await createFileOnce(path(version + 1), `${JSON.stringify(machine)}\n`))) return false;
      parsed.set(machine.machine, {machine, version: version + 1});
      for (const old of before) if (old <= version + 1 - KEPT) await rm(path(old), {force: true});
      return true;
    },
    claimName: async (name, machine) => {
      const path = join(names, encodeURIComponent(name));
      if (await createFileOnce(path, machine)) return true;
      return (await readFile(path, 'utf8')) === machine;
    },
    log: async (machine, lines) => {
      if (lines.length === 0) return;
      await appendFile(join(logs, `${machine}.log`), lines.map(line => `${line}\n`).join(''), {mode: 0o600});
    },
  };
}

async function readRecord(path: string): Promise<RackMachine> {
  const text = await readFile(path, 'utf8');
  try {
    return parseJson(RackMachine, text, path);
  } catch (error) {
    throw new RackError('record-damaged', `${path} is not the record of a machine`, {
      remedy: 'remove it: the version before it counts then',
      cause: error,
    });
  }
}
