/**
 * Creation as reconciliation: an ordered list of steps, each made true unless the ledger says that it is. Killed
 * anywhere and run again, it goes on where it was.
 */
import {readFile} from 'node:fs/promises';
import {withStep} from '../services/common/progress.ts';
import type {Progress, ProgressStep} from '../services/common/progress.ts';
import {followConsole} from './access.ts';
import type {Driver, DriverHost, Resources} from './driver.ts';
import {MachineError, stopIfInterrupted} from './errors.ts';
import {driverContext, createHost, eraseMachine, toDriverMachine} from './machine.ts';
import type {Access, MachineDeps} from './machine.ts';
import {checkMachineName} from './names.ts';
import {machineUser, type FirstBootFile} from './ports.ts';
import {creationPlan, stepsOfAccess} from './plan.ts';
import {findDriver} from './registry.ts';
import {ensureKey} from './ssh/key.ts';
import {READY} from './store/ledger.ts';
import {recordStep} from './store/journal.ts';
import type {Journal} from './store/journal.ts';
import {RECORD_SCHEMA} from './store/record.ts';
import type {MachineRecord} from './store/record.ts';

export interface CreateWish {
  readonly name: string;
  readonly driver: string;
  /** The operator's first-boot configuration, absolute. */
  readonly config?: string;
  /** Further files of the first boot. */
  readonly files?: readonly FirstBootFile[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly certificateNames?: readonly string[];
  readonly settings: unknown;
  /** Seconds for each of: SSH, enrolment, Docker. */
  readonly seconds: number;
  /** What to do with a new machine whose creation fails; when absent: destroy before it ran, keep after. */
  readonly onFailure?: 'keep' | 'destroy';
}

/** Makes the machine, or finishes one whose creation was cut short. Throws `exists` for a finished one. */
export async function createMachine(deps: MachineDeps, wish: CreateWish, progress: Progress): Promise<void> {
  checkMachineName(wish.name);
  await using _ = await deps.store.lock(wish.name, deps.signal);
  const existing = await deps.store.load(wish.name);
  if (existing?.ledger.finished === true) {
    throw new MachineError('exists', `Docker machine "${wish.name}" already exists`, {
      remedy: `choose another name, or remove it with hawser machine rm ${wish.name}`,
    });
  }
  const record = existing?.record ?? (await addRecord(deps, wish, progress));
  if (existing !== undefined)
    progress.note(`Taking up the creation of "${wish.name}" with the settings it began with`);
  const driver = findDriver(deps.registry, record.driver);
  const journal = await deps.openJournal(deps.store.ledgerPath(record.name));
  let report: (detail: string) => void = () => undefined;
  const host = await createHost(deps, record, journal, detail => report(detail));
  const creation: Creation = {deps, driver, record, journal, host, seconds: wish.seconds};

  for (const step of creationPlan(driver, record.settings)) {
    if (journal.state().done.has(step.name) && step.volatile !== true) continue;
    try {
      stopIfInterrupted(deps.signal);
      await withStep(progress, step.title, async shown => {
        report = detail => shown.update(detail);
        await recordStep(journal, deps.runtime.clock, step.name, () =>
          ensureStep(creation, step.name, shown),
        );
      });
    } catch (error) {
      if (error instanceof MachineError && error.code === 'interrupted') throw unfinished(record.name, error);
      const ran = stepsOfAccess.some(late => late.name === step.name);
      const policy = wish.onFailure ?? (existing === undefined && !ran ? 'destroy' : 'keep');
      if (policy === 'keep' || deps.signal.aborted) throw unfinished(record.name, error);
      await removeEverything(creation, progress);
      throw error;
    }
  }
  await recordStep(journal, deps.runtime.clock, READY, () => Promise.resolve({}));
}

interface Creation {
  readonly deps: MachineDeps;
  readonly driver: Driver;
  readonly record: MachineRecord;
  readonly journal: Journal;
  readonly host: DriverHost;
  readonly seconds: number;
}

async function addRecord(deps: MachineDeps, wish: CreateWish, progress: Progress): Promise<MachineRecord> {
  const {runtime, store, signal} = deps;
  const driver = findDriver(deps.registry, wish.driver);
  const context = await driverContext(deps);
  await withStep(progress, 'Running pre-create checks', () => driver.preCreateCheck(wish.settings, context));
  const {config} = wish;
  if (config !== undefined) {
    await (await runtime.firstBoot()).check({path: config, text: await readFile(config, 'utf8')});
  }
  const record: MachineRecord = {
    schema: RECORD_SCHEMA,
    uuid: runtime.newUuid(),
    name: wish.name,
    generation: 1,
    driver: wish.driver,
    user: driver.login?.(wish.settings) ?? machineUser,
    created: runtime.clock.now().toISOString(),
    ...(config === undefined ? {} : {config}),
    ...(wish.files === undefined ? {} : {files: [...wish.files]}),
    ...(wish.labels === undefined ? {} : {labels: {...wish.labels}}),
    ...(wish.certificateNames === undefined ? {} : {certificateNames: [...wish.certificateNames]}),
    settings: wish.settings,
  };
  stopIfInterrupted(signal);
  await store.add(record);
  return record;
}

async function ensureStep(creation: Creation, step: string, shown: ProgressStep): Promise<Resources> {
  const {deps, driver, record, journal, host, seconds} = creation;
  const folder = deps.store.folder(record.name);
  const machine = toDriverMachine(record, folder, journal.state().resources);
  const access: Access = {deps, driver, record, machine, seconds};
  if (driver.plan(record.settings).some(own => own.name === step)) return driver.ensure(step, machine, host);
  using _ = followConsole(driver, machine, shown);
  switch (step) {
    case 'key':
      await ensureKey(folder, `hawser-${record.name}`, deps.signal);
      break;
    case 'ssh':
      await deps.access.ssh(access, journal.state().done.has('enrol'));
      break;
    case 'enrol':
      await deps.access.enrol(access);
      break;
    case 'docker':
      await deps.access.docker(access);
      break;
    default:
      throw new MachineError('driver-failed', `no executor for the step "${step}"`);
  }
  return {};
}

async function removeEverything(creation: Creation, progress: Progress): Promise<void> {
  const {deps, driver, record, journal, host} = creation;
  const machine = toDriverMachine(record, deps.store.folder(record.name), journal.state().resources);
  await withStep(progress, 'Removing what was made', () => eraseMachine(deps, driver, machine, host));
}

function unfinished(name: string, error: unknown): MachineError {
  const why = error instanceof Error ? error.message : String(error);
  const before = error instanceof MachineError && error.remedy !== undefined ? `${error.remedy}; ` : '';
  return new MachineError('unfinished', `machine "${name}" is not finished: ${why}`, {
    remedy: `${before}go on with hawser machine create ${name}, or remove it with hawser machine rm ${name}`,
    cause: error,
  });
}
