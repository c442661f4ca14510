/**
 * What every driver must hold, whatever it drives. A driver's test file calls {@link conformance} with a way to make
 * the driver and a way to count, from outside, what exists for a machine.
 */
import {readFile, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {silentProgress} from '../../services/common/progress.ts';
import {createMachine} from '../../machine-drivers/create.ts';
import type {Driver, MachineState} from '../../machine-drivers/driver.ts';
import {MachineError} from '../../machine-drivers/errors.ts';
import {killMachine, removeMachine, restartMachine, startMachine} from '../../machine-drivers/lifecycle.ts';
import {driverContext, loadMachine, viewOf} from '../../machine-drivers/machine.ts';
import type {MachineDeps} from '../../machine-drivers/machine.ts';
import {observeStored, observeTogether} from '../../machine-drivers/observation.ts';
import {creationPlan} from '../../machine-drivers/plan.ts';
import {openJournal} from '../../machine-drivers/store/journal.ts';
import type {Journal} from '../../machine-drivers/store/journal.ts';
import {stubDeps, temporaryFolder} from './support/runtime.ts';

export interface Subject {
  readonly driver: Driver;
  readonly settings: unknown;
  /** What exists for the machine, by kind: counted in the world, not read from the ledger. */
  count(machine: {uuid: string; folder: string}): Promise<Readonly<Record<string, number>>>;
  /** Makes the running part of a machine vanish, behind the driver's back. */
  vanish(machine: {uuid: string; folder: string}): Promise<void>;
  /** The state of a machine that was just created. */
  readonly fresh: 'Running' | 'Paused';
  /** The operator's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Resources that machines may have in common, and that may change from start to start. */
  readonly shared?: readonly string[];
  /** What bears no mark of its machine: without the record nothing tells whose it is, so it stays. */
  readonly unmarked?: readonly string[];
  /** False where the driver can neither start nor cut the power (a machine that is not ours). */
  readonly power?: false;
  /** Where a machine that is gone cannot be told from one that is only out of reach. */
  readonly vanished?: 'needs-force';
  /**
   * Its calls take long: killed only before each write of the ledger. After an intent nothing has been done yet, so that
   * differs from a kill before the intent by the ledger alone.
   */
  readonly slow?: true;
  /** Machines that are created at the same time; 5 when absent. */
  readonly together?: number;
  /** What must never be in the store: passwords, keys. */
  readonly secrets?: readonly string[];
  /** An environment, or settings, by which the platform refuses us. */
  readonly wrongCredentials?: {
    readonly env?: Readonly<Record<string, string>>;
    readonly settings?: unknown;
  };
  /** Questions that the platform was asked so far, of the kind that `observe` asks. */
  readonly questions?: () => number;
}

export interface Conformance {
  readonly name: string;
  subject(t: ExecutionContext, home: string): Promise<Subject>;
}

const quiet = {progress: silentProgress, warn: () => undefined};

/** Stands for SIGKILL: whatever the process was about to do does not happen. */
class Crash extends Error {}

/** Dies at the n-th write of the ledger, before it or after it. */
function dyingJournal(at: number, when: 'before' | 'after'): (path: string) => Promise<Journal> {
  let writes = 0;
  return async path => {
    const journal = await openJournal(path);
    return {
      state: () => journal.state(),
      append: async entry => {
        writes++;
        if (writes === at && when === 'before') throw new Crash();
        await journal.append(entry);
        if (writes === at) throw new Crash();
      },
    };
  };
}

/** AVA's `test` or `test.serial`. */
export type Declare = (title: string, implementation: (t: ExecutionContext) => Promise<void>) => void;

export function conformance(test: Declare, given: Conformance): void {
  const title = (text: string) => `${given.name}: ${text}`;
  const setUp = async (t: ExecutionContext) => {
    const home = await temporaryFolder(t);
    const subject = await given.subject(t, home);
    const deps = withEnv(await stubDeps(home, [subject.driver]), subject.env ?? {});
    t.teardown(async () => {
      for (const name of await deps.store.names()) await removeMachine(deps, name, true, quiet);
    });
    return {home, subject, deps};
  };
  const create = (deps: MachineDeps, subject: Subject, name: string) =>
    createMachine(
      deps,
      {name, driver: subject.driver.name, settings: subject.settings, seconds: 5, onFailure: 'keep'},
      silentProgress,
    );
  const expectOne = async (t: ExecutionContext, deps: MachineDeps, subject: Subject, name: string) => {
    const machine = await loadMachine(deps.store, name);
    t.true(machine.ledger.finished);
    const counted = await subject.count({uuid: machine.record.uuid, folder: machine.folder});
    t.deepEqual(new Set(Object.values(counted)), new Set([1]), JSON.stringify(counted));
    return machine;
  };

  test(title('its flags bear its name, and its steps have each a name of their own'), async t => {
    const {subject} = await setUp(t);
    const {driver} = subject;
    t.true(driver.flags.every(flag => flag.name.startsWith(`${driver.name}-`)));
    const names = creationPlan(driver, subject.settings).map(step => step.name);
    t.is(new Set(names).size, names.length);
  });

  test(
    title('killed at any write of the ledger and run again, creation ends with exactly one of each'),
    async t => {
      const {subject, deps} = await setUp(t);
      let killedOften = 0;
      for (let at = 1; ; at++) {
        const died: boolean[] = [];
        for (const when of subject.slow === true ? (['before'] as const) : (['before', 'after'] as const)) {
          const name = `m${at}${when}`;
          const dying = {...deps, openJournal: dyingJournal(at, when)};
          const error = await create(dying, subject, name).then(
            () => undefined,
            (thrown: unknown) => thrown,
          );
          died.push(error !== undefined);
          if (error === undefined) {
            t.is((await deps.store.load(name))?.ledger.finished, true);
          } else if ((await deps.store.load(name))?.ledger.finished !== true) {
            await create(deps, subject, name);
          }
          const {record, folder} = await expectOne(t, deps, subject, name);
          await removeMachine(deps, name, false, quiet);
          const left = await subject.count({uuid: record.uuid, folder});
          t.deepEqual(new Set(Object.values(left)), new Set([0]), JSON.stringify(left));
        }
        if (!died.includes(true)) break;
        killedOften++;
      }
      // Intent and result of every step, and the last word.
      t.true(killedOften >= creationPlan(subject.driver, subject.settings).length * 2);
    },
  );

  test(title('removed half-made, at any write of the ledger, it leaves nothing'), async t => {
    const {subject, deps} = await setUp(t);
    for (let at = 1; ; at++) {
      const dying = {...deps, openJournal: dyingJournal(at, 'before')};
      const error = await create(dying, subject, 'half').then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      const {record, folder} = await loadMachine(deps.store, 'half');
      await removeMachine(deps, 'half', false, quiet);
      const left = await subject.count({uuid: record.uuid, folder});
      t.deepEqual(new Set(Object.values(left)), new Set([0]), JSON.stringify(left));
      t.deepEqual(await deps.store.names(), []);
      if (error === undefined) break;
    }
  });

  test(title('a finished machine is not made again'), async t => {
    const {subject, deps} = await setUp(t);
    await create(deps, subject, 'once');
    await t.throwsAsync(create(deps, subject, 'once'), {code: 'exists'});
    await expectOne(t, deps, subject, 'once');
  });

  test(title('each step made true twice is as if made once'), async t => {
    const {subject, deps} = await setUp(t);
    await create(deps, subject, 'twice');
    const {ledger, folder, record} = await loadMachine(deps.store, 'twice');
    // The ledger forgets everything but what exists: all steps are ensured again.
    const forgetful = async (path: string): Promise<Journal> => {
      const journal = await openJournal(path);
      return {
        ...journal,
        state: () => ({...journal.state(), done: new Set(), finished: false, resources: ledger.resources}),
      };
    };
    const unfinished = {
      ...deps,
      openJournal: forgetful,
      store: {
        ...deps.store,
        load: async (name: string) => {
          const stored = await deps.store.load(name);
          return stored === undefined ? undefined : {...stored, ledger: {...stored.ledger, finished: false}};
        },
      },
    };
    await create(unfinished, subject, 'twice');
    const counted = await subject.count({uuid: record.uuid, folder});
    t.deepEqual(new Set(Object.values(counted)), new Set([1]), JSON.stringify(counted));
  });

  test(title('kill, start, restart and their refusals'), async t => {
    const {subject, deps} = await setUp(t);
    if (subject.power === false) {
      await create(deps, subject, 'power');
      await t.throwsAsync(killMachine(deps, 'power', silentProgress), {instanceOf: MachineError});
      return;
    }
    await create(deps, subject, 'power');
    const state = () => stateOf(deps, 'power');
    t.is(await state(), subject.fresh);
    if (subject.fresh === 'Running') {
      await t.throwsAsync(startMachine(deps, 'power', 5, silentProgress), {code: 'not-stopped'});
    }
    await killMachine(deps, 'power', silentProgress);
    t.is(await state(), 'Stopped');
    await t.throwsAsync(killMachine(deps, 'power', silentProgress), {code: 'not-running'});
    await startMachine(deps, 'power', 5, silentProgress);
    t.is(await state(), subject.fresh);
    await restartMachine(deps, 'power', {graceSeconds: 0.2, seconds: 5}, silentProgress);
    t.is(await state(), subject.fresh);
    await expectOne(t, deps, subject, 'power');
  });

  test(
    title('a machine that vanished behind our back is seen as not running, and rm is no error'),
    async t => {
      const {subject, deps} = await setUp(t);
      await create(deps, subject, 'gone');
      const {record, folder} = await loadMachine(deps.store, 'gone');
      await subject.vanish({uuid: record.uuid, folder});
      const state = await stateOf(deps, 'gone');
      t.true(state === 'Stopped' || state === 'None', state);
      const force = subject.vanished === 'needs-force';
      if (force) {
        const error = await t.throwsAsync<MachineError>(removeMachine(deps, 'gone', false, quiet), {
          code: 'unreachable',
        });
        t.truthy(error?.remedy);
      }
      await removeMachine(deps, 'gone', force, quiet);
      t.deepEqual(await deps.store.names(), []);
    },
  );

  test(title('destroyed twice, nothing is wrong'), async t => {
    const {subject, deps} = await setUp(t);
    await create(deps, subject, 'dead');
    const stored = await loadMachine(deps.store, 'dead');
    await removeMachine(deps, 'dead', false, quiet);
    await t.throwsAsync(removeMachine(deps, 'dead', false, quiet), {code: 'no-such-machine'});
    await t.notThrowsAsync(removeMachine(deps, 'dead', true, quiet));
    const counted = await subject.count({uuid: stored.record.uuid, folder: stored.folder});
    t.deepEqual(new Set(Object.values(counted)), new Set([0]));
  });

  test(title('created at the same time, machines share nothing'), async t => {
    const {subject, deps} = await setUp(t);
    const names = Array.from({length: subject.together ?? 5}, (_, index) => `p${index + 1}`);
    const shared = new Set(subject.shared);
    await Promise.all(names.map(name => create(deps, subject, name)));
    const seen = new Set<string>();
    for (const name of names) {
      const {ledger} = await expectOne(t, deps, subject, name);
      for (const [key, value] of Object.entries(ledger.resources)) {
        if (!shared.has(key)) seen.add(`${key}=${value}`);
      }
    }
    const {ledger} = await loadMachine(deps.store, 'p1');
    t.is(seen.size, names.length * Object.keys(ledger.resources).filter(key => !shared.has(key)).length);
  });

  test(title('no secret is in the store'), async t => {
    const {home, subject, deps} = await setUp(t);
    await create(deps, subject, 'quiet');
    const texts = await textsIn(join(home, 'machines'));
    t.true(texts.length > 0);
    for (const secret of subject.secrets ?? []) t.false(texts.some(text => text.includes(secret)));
  });

  test(title('refused by its platform, it makes nothing, and what there is stays'), async t => {
    const {subject, deps} = await setUp(t);
    const {wrongCredentials: wrong} = subject;
    if (wrong === undefined) {
      t.pass('it needs no credentials');
      return;
    }
    await create(deps, subject, 'mine');
    const refused = withEnv(deps, wrong.env ?? subject.env ?? {});
    const settings = wrong.settings ?? subject.settings;
    const error = await t.throwsAsync(create(refused, {...subject, settings}, 'never'), {
      instanceOf: MachineError,
    });
    t.is(error?.context['exitCode'], 3, error?.message);
    t.truthy(error?.remedy);
    t.deepEqual(await deps.store.names(), ['mine']);
    if (wrong.env !== undefined) {
      await t.throwsAsync(stateOf(refused, 'mine'), {instanceOf: MachineError});
      await t.throwsAsync(removeMachine(refused, 'mine', false, quiet), {instanceOf: MachineError});
    }
    await expectOne(t, deps, subject, 'mine');
  });

  test(title('machines of one place are observed by one call'), async t => {
    const {subject, deps} = await setUp(t);
    const {driver, questions} = subject;
    if (driver.place === undefined || questions === undefined) {
      t.pass('it has no place');
      return;
    }
    for (const name of ['o1', 'o2', 'o3']) await create(deps, subject, name);
    const machines = await Promise.all(
      ['o1', 'o2', 'o3'].map(async name => ({driver, machine: viewOf(await loadMachine(deps.store, name))})),
    );
    const before = questions();
    const answers = observeTogether(machines, await driverContext(deps));
    const states = await Promise.all([...answers.values()].map(async answer => (await answer).state));
    t.deepEqual(states, [subject.fresh, subject.fresh, subject.fresh]);
    t.is(questions() - before, 1);
  });

  test(title('what no record tells of is found by its tags, and destroyed without a ledger'), async t => {
    const {subject, deps} = await setUp(t);
    const {driver} = subject;
    if (driver.list === undefined) {
      t.pass('nothing of it outlives its record');
      return;
    }
    await create(deps, subject, 'lost');
    const {record, folder} = await loadMachine(deps.store, 'lost');
    await deps.store.remove('lost');
    const context = await driverContext(deps);
    const found = await driver.list(subject.settings, context);
    t.deepEqual(
      found.map(({uuid, name, generation}) => ({uuid, name, generation})),
      [{uuid: record.uuid, name: 'lost', generation: 1}],
    );
    const never = () => Promise.reject(new Error('nothing is made while a machine is destroyed'));
    const host = {...context, report: () => undefined, note: never, reserve: never, firstBoot: never};
    const {uuid, name, generation, settings} = record;
    await driver.destroy({uuid, name, generation, settings, folder, resources: {}}, host);
    t.deepEqual(await driver.list(subject.settings, context), []);
    const left = await subject.count({uuid, folder});
    const marked = Object.entries(left).filter(([kind]) => subject.unmarked?.includes(kind) !== true);
    t.deepEqual(new Set(marked.map(([, count]) => count)), new Set([0]), JSON.stringify(left));
  });
}

async function stateOf(deps: MachineDeps, name: string): Promise<MachineState> {
  return (await observeStored(deps, await loadMachine(deps.store, name))).state;
}

function withEnv(deps: MachineDeps, env: Readonly<Record<string, string>>): MachineDeps {
  return {...deps, runtime: {...deps.runtime, env}};
}

/** Every file of a folder, whatever it is called. */
async function textsIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, {recursive: true, withFileTypes: true});
  return Promise.all(
    entries
      .filter(entry => entry.isFile())
      .map(entry => readFile(join(entry.parentPath, entry.name), 'latin1')),
  );
}
