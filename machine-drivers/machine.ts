/** A machine under its lock: the record, the ledger and the driver brought together. */
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {systemErrorCode} from '../services/common/errors.ts';
import {writeFileAtomic} from '../services/common/fs-atomic.ts';
import {removeDockerContext} from './docker/context.ts';
import type {Driver, DriverContext, DriverHost, DriverMachine, Resources} from './driver.ts';
import {MachineError} from './errors.ts';
import type {FirstBootFile, MachineRuntime} from './ports.ts';
import {findDriver} from './registry.ts';
import type {Registry} from './registry.ts';
import {recordDone, recordNote} from './store/journal.ts';
import type {Journal} from './store/journal.ts';
import type {MachineStore, StoredMachine} from './store/store.ts';
import type {MachineRecord} from './store/record.ts';

/** The steps from "it runs" to "Docker answers", the same on every driver; see access.ts. */
export interface AccessSteps {
  ssh(access: Access, proven: boolean): Promise<void>;
  enrol(access: Access): Promise<void>;
  docker(access: Access): Promise<void>;
}

/** A machine on its way to being reachable. */
export interface Access {
  readonly deps: MachineDeps;
  readonly driver: Driver;
  readonly record: MachineRecord;
  readonly machine: DriverMachine;
  /** Seconds that each phase may take. */
  readonly seconds: number;
  /** Where it is proven already: enrolment then trusts this connection only. */
  readonly hostKey?: string;
}

export interface MachineDeps {
  readonly runtime: MachineRuntime;
  readonly store: MachineStore;
  readonly registry: Registry;
  readonly signal: AbortSignal;
  readonly openJournal: (path: string) => Promise<Journal>;
  readonly access: AccessSteps;
}

/** Seconds that an enrolment token is valid: a slow first boot, and a creation taken up again the next morning. */
export const TOKEN_LIFETIME_SECONDS = 24 * 3600;

export function toDriverMachine(record: MachineRecord, folder: string, resources: Resources): DriverMachine {
  return {
    uuid: record.uuid,
    name: record.name,
    generation: record.generation,
    folder,
    settings: record.settings,
    resources,
  };
}

/** Loads a machine that must exist. */
export async function loadMachine(store: MachineStore, name: string): Promise<StoredMachine> {
  const machine = await store.load(name);
  if (machine !== undefined) return machine;
  throw new MachineError('no-such-machine', `Docker machine "${name}" does not exist`, {
    remedy: 'hawser machine ls shows those there are',
  });
}

export function driverOf(registry: Registry, machine: StoredMachine): Driver {
  return findDriver(registry, machine.record.driver);
}

export function viewOf(machine: StoredMachine): DriverMachine {
  return toDriverMachine(machine.record, machine.folder, machine.ledger.resources);
}

/** Removes a machine and every trace of it; the caller holds its lock. Succeeds from any half-made state. */
export async function eraseMachine(
  deps: MachineDeps,
  driver: Driver,
  machine: DriverMachine,
  host: DriverHost,
): Promise<void> {
  await driver.destroy(machine, host);
  await (await deps.runtime.enrolment()).forget(machine.uuid);
  // First: one that is in the store is never looked up among the removed, so a kill between the two is harmless.
  await deps.store.noteRemoved(machine);
  await removeDockerContext(deps.runtime.env, machine);
  await deps.store.remove(machine.name);
  await deps.runtime.removed?.({uuid: machine.uuid, name: machine.name});
}

/** What a driver is lent for a question. */
export async function driverContext({runtime, store, signal}: MachineDeps): Promise<DriverContext> {
  const {paths, clock, env, operator} = runtime;
  return {paths, clock, env, operator, signal, fleet: await store.fleet(signal)};
}

/** Builds what the core lends to a driver while `record`'s lock is held. */
export async function createHost(
  deps: MachineDeps,
  record: MachineRecord,
  journal: Journal,
  report: (detail: string) => void,
): Promise<DriverHost> {
  const {runtime, store, signal} = deps;
  const context = await driverContext(deps);
  return {
    ...context,
    report,
    note: (step, resources) => recordNote(journal, runtime.clock, step, resources),
    reserve: async (step, choose) => {
      await using _ = await store.lockAll(signal);
      const chosen = await choose(await resourcesOfOthers(store, record.name));
      await recordDone(journal, runtime.clock, step, chosen);
      return chosen;
    },
    firstBoot: files => firstBootConfig(runtime, record, store.folder(record.name), files),
  };
}

/** What the other machines of the store hold. The caller has the store's lock. */
export async function resourcesOfOthers(store: MachineStore, name: string): Promise<Resources[]> {
  const resources: Resources[] = [];
  for (const other of await store.names()) {
    if (other === name) continue;
    try {
      const machine = await store.load(other);
      if (machine !== undefined) resources.push(machine.ledger.resources);
    } catch {
      // A machine whose files are damaged cannot tell what it holds; it must not stop others from being made.
    }
  }
  return resources;
}

/**
 * Rendered once and kept (0600, it holds the token), so that a creation that is taken up again hands over the same
 * bytes.
 */
async function firstBootConfig(
  runtime: MachineRuntime,
  record: MachineRecord,
  folder: string,
  files: readonly FirstBootFile[],
): Promise<{path: string; text: string}> {
  const path = join(folder, 'first-boot.ign');
  try {
    return {path, text: await readFile(path, 'utf8')};
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
  const enrolment = await (
    await runtime.enrolment()
  ).issue({
    machine: record.uuid,
    name: record.name,
    generation: record.generation,
    lifetimeSeconds: TOKEN_LIFETIME_SECONDS,
  });
  const key = await readFile(join(folder, 'id_ed25519.pub'), 'utf8');
  const config = record.config;
  const text = await (
    await runtime.firstBoot()
  ).render({
    hostname: record.name,
    sshAuthorizedKeys: [key.trim()],
    enrolment,
    files: [...files, ...(record.files ?? [])],
    ...(config === undefined ? {} : {operatorConfig: {path: config, text: await readFile(config, 'utf8')}}),
  });
  await writeFileAtomic(path, text);
  return {path, text};
}
