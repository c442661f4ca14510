/** `<home>/machines`: one folder a machine, beside locks and the identity of the whole store. */
import {randomUUID} from 'node:crypto';
import {mkdir, readFile, readdir, rename, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {Type} from 'typebox';
import type {Clock} from '../../services/common/clock.ts';
import {systemErrorCode} from '../../services/common/errors.ts';
import {syncFolder, writeFileAtomic} from '../../services/common/fs-atomic.ts';
import {parseJson} from '../../services/common/parse.ts';
import {MachineError} from '../errors.ts';
import {compareNames, isMachineName} from '../names.ts';
import {foldLedger} from './ledger.ts';
import type {LedgerState} from './ledger.ts';
import {readLedger} from './ledger-file.ts';
import {takeLock} from './lock.ts';
import {damaged, isUuid, parseRecord} from './record.ts';
import type {MachineRecord} from './record.ts';

const MACHINE_WAIT_MS = 5000;
const STORE_WAIT_MS = 60_000;

export interface StoredMachine {
  readonly record: MachineRecord;
  readonly ledger: LedgerState;
  readonly folder: string;
}

export interface MachineStore {
  readonly root: string;
  /** Every machine that has a record, readable or not, in the order people count. */
  names(): Promise<readonly string[]>;
  /** Undefined when there is no such machine; throws `store-damaged` or `store-newer`. */
  load(name: string): Promise<StoredMachine | undefined>;
  folder(name: string): string;
  ledgerPath(name: string): string;
  /** Writes the record of a machine that has none yet. The caller holds its lock. */
  add(record: MachineRecord): Promise<void>;
  /** Writes the record of a machine anew. The caller holds its lock. */
  replace(record: MachineRecord): Promise<void>;
  /** Removes the folder: gone at once, then emptied. The caller holds the lock. */
  remove(name: string): Promise<void>;
  /** Keeps for good that a machine exists no more: only once its driver destroyed it. */
  noteRemoved(machine: Pick<MachineRecord, 'uuid' | 'name'>): Promise<void>;
  wasRemoved(uuid: string): Promise<boolean>;
  lock(name: string, signal: AbortSignal): Promise<AsyncDisposable>;
  /** The lock under which resources are divided among machines. */
  lockAll(signal: AbortSignal): Promise<AsyncDisposable>;
  /** A random name of the store, made on first use. */
  fleet(signal: AbortSignal): Promise<string>;
  /** Takes another store's name: only while it holds no machine. */
  joinFleet(fleet: string, signal: AbortSignal): Promise<void>;
}

export function machinesFolder(home: string): string {
  return join(home, 'machines');
}

/** Opens the store in `home`, making its folders (mode 0700) when they are missing. */
export async function openStore(home: string, clock: Clock): Promise<MachineStore> {
  const root = machinesFolder(home);
  const locks = join(root, '.locks');
  await mkdir(locks, {recursive: true, mode: 0o700});
  const folder = (name: string) => join(root, name);
  const removed = join(root, '.removed');
  const recordPath = (name: string) => join(folder(name), 'machine.json');
  const ledgerPath = (name: string) => join(folder(name), 'ledger.jsonl');
  const lockAll = (signal: AbortSignal) =>
    takeLock({path: join(locks, '.all'), what: 'the machine store', waitMs: STORE_WAIT_MS, clock, signal});

  return {
    root,
    folder,
    ledgerPath,
    names: async () => {
      const entries = await readdir(root, {withFileTypes: true});
      const names = entries
        .filter(entry => entry.isDirectory() && isMachineName(entry.name))
        .map(entry => entry.name);
      const kept: string[] = [];
      for (const name of names) if (!(await isEmptyShell(folder(name)))) kept.push(name);
      return kept.sort(compareNames);
    },
    load: async name => {
      if (!isMachineName(name) || (await isEmptyShell(folder(name)))) return undefined;
      const text = await readRecord(recordPath(name));
      const record = parseRecord(text, recordPath(name));
      if (record.name !== name) {
        throw damaged(recordPath(name), new Error(`is the record of "${record.name}"`));
      }
      const {entries} = await readLedger(ledgerPath(name));
      return {record, ledger: foldLedger(entries), folder: folder(name)};
    },
    add: async record => {
      const path = folder(record.name);
      if (!(await isEmptyShell(path)))
        throw new MachineError('exists', `machine "${record.name}" already exists`);
      await mkdir(path, {recursive: true, mode: 0o700});
      await writeFileAtomic(recordPath(record.name), `${JSON.stringify(record, undefined, 2)}\n`);
      await syncFolder(root);
    },
    replace: async record => {
      await writeFileAtomic(recordPath(record.name), `${JSON.stringify(record, undefined, 2)}\n`);
    },
    remove: async name => {
      const trash = join(root, `.trash-${randomUUID()}`);
      try {
        await rename(folder(name), trash);
      } catch (error) {
        if (systemErrorCode(error) !== 'ENOENT') throw error;
      }
      await syncFolder(root);
      for (const entry of await readdir(root)) {
        if (entry.startsWith('.trash-')) await rm(join(root, entry), {recursive: true, force: true});
      }
    },
    noteRemoved: async ({uuid, name}) => {
      await mkdir(removed, {recursive: true, mode: 0o700});
      const note = {schema: 1, uuid, name, at: clock.now().toISOString()};
      await writeFileAtomic(join(removed, `${uuid}.json`), `${JSON.stringify(note)}\n`);
    },
    wasRemoved: async uuid => isUuid(uuid) && (await exists(join(removed, `${uuid}.json`))),
    lock: (name, signal) =>
      takeLock({path: join(locks, name), what: `machine "${name}"`, waitMs: MACHINE_WAIT_MS, clock, signal}),
    lockAll,
    fleet: async signal => {
      const path = join(root, '.store.json');
      const known = await readFleet(path);
      if (known !== undefined) return known;
      await using _ = await lockAll(signal);
      const fleet = (await readFleet(path)) ?? randomUUID();
      await writeFileAtomic(path, `${JSON.stringify({schema: 1, fleet})}\n`);
      return fleet;
    },
    joinFleet: async (fleet, signal) => {
      await using _ = await lockAll(signal);
      await writeFileAtomic(join(root, '.store.json'), `${JSON.stringify({schema: 1, fleet})}\n`);
    },
  };
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

const StoreFile = Type.Object({schema: Type.Literal(1), fleet: Type.String({minLength: 1})});

async function readFleet(path: string): Promise<string | undefined> {
  let text;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  return parseJson(StoreFile, text, path).fleet;
}

async function readRecord(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw systemErrorCode(error) === 'ENOENT' ? damaged(path, new Error('is missing')) : error;
  }
}

/** True for no folder at all, and for one in which a killed creation had not yet renamed its record into place. */
async function isEmptyShell(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).every(entry => entry.startsWith('.'));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return true;
    throw error;
  }
}
