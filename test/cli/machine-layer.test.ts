/** The watchdog of the reboot lock over real machines: emulators whose processors are halted, and one in memory. */
import {readFile, readdir, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import anyTest, {type ExecutionContext} from 'ava';
import {createMachine} from '../../machine-drivers/create.ts';
import {qemuDriver} from '../../machine-drivers/drivers/qemu/index.ts';
import {configureQemu} from '../../machine-drivers/drivers/qemu/settings.ts';
import {MachineError} from '../../machine-drivers/errors.ts';
import {killMachine, removeMachine, withMachine} from '../../machine-drivers/lifecycle.ts';
import {loadMachine, type MachineDeps} from '../../machine-drivers/machine.ts';
import {machineLayer} from '../../services/cli/server/machine-layer.ts';
import {exec} from '../../services/common/exec.ts';
import {silentProgress} from '../../services/common/progress.ts';
import {createMemoryStore} from '../../services/reboot-lock/adapters/memory-store.ts';
import type {MachineLayer} from '../../services/reboot-lock/ports.ts';
import {createGroupQueue} from '../../services/reboot-lock/queue.ts';
import {reportPhase, takeSlot} from '../../services/reboot-lock/service.ts';
import {stateOf} from '../../services/reboot-lock/snapshot.ts';
import {createWaitingRoom} from '../../services/reboot-lock/waiting-room.ts';
import {watchOnce} from '../../services/reboot-lock/watch.ts';
import {FakeCloud, fakeDriver} from '../machine-drivers/support/fake-driver.ts';
import {stubDeps, stubRuntime, temporaryFolder} from '../machine-drivers/support/runtime.ts';
import {createEvents, createTestClock, later, policiesOf, webPolicy, wish} from '../reboot-lock/support.ts';

// One after another: some start emulators.
const test = anyTest.serial;
const quiet = {progress: silentProgress, warn: () => undefined};
const stranger = '00000000-0000-4000-8000-00000000beef';

/** A lock whose groups allow power cycles; what it would log is kept. */
function lockOver(machines: MachineLayer) {
  const store = createMemoryStore();
  const clock = createTestClock();
  const logged: string[] = [];
  const log = (_: object, message: string) => void logged.push(message);
  const policy = {...webPolicy, powerCycle: true};
  const deps = {
    store,
    clock,
    queue: createGroupQueue(store, clock, () => 0),
    room: createWaitingRoom(),
    policies: policiesOf(policy),
    events: createEvents(),
    machines,
    log: {info: log, warn: log, error: log},
  };
  return {
    deps,
    logged,
    audit: () => store.audit.map(({action, actor, machine}) => ({action, actor, machine})),
    holders: async () => stateOf(await store.read(), 'web').holders.map(({machine}) => machine),
    reboots: async (uuid: string) => {
      const taken = await takeSlot(deps, policy, wish(uuid));
      if (taken.kind !== 'granted') throw new Error('not granted');
      await reportPhase(deps, 'web', uuid, {fence: taken.answer.fence, phase: 'rebooting'});
    },
  };
}

async function pausedEmulator(t: ExecutionContext): Promise<{home: string; deps: MachineDeps; uuid: string}> {
  const home = await temporaryFolder(t);
  const image = join(home, 'image.qcow2');
  await exec(['qemu-img', 'create', '-q', '-f', 'qcow2', image, '64M'], {timeoutMs: 30_000});
  const flags = new Map<string, string | boolean | number>([
    ['image', image],
    ['qemu-paused', true],
    ['qemu-restrict', true],
    ['qemu-memory', 128],
    ['qemu-accel', 'tcg'],
  ]);
  const settings = await configureQemu(flags, {cwd: home, paths: {home, cache: home}});
  const deps = await stubDeps(home, [qemuDriver]);
  t.teardown(async () => {
    for (const name of await deps.store.names()) await removeMachine(deps, name, true, quiet);
  });
  const given = {name: 'web1', driver: 'qemu', settings, seconds: 5} as const;
  await createMachine(deps, given, silentProgress);
  return {home, deps, uuid: (await loadMachine(deps.store, 'web1')).record.uuid};
}

async function emulators(uuid: string): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const words = (await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '')).split('\0');
    const at = words.indexOf('-uuid');
    if (at !== -1 && words[at + 1] === uuid) found.push(Number(entry));
  }
  return found;
}

test('an emulator whose deadline passed is power-cycled once; after machine rm its slot is freed', async t => {
  const {home, deps, uuid} = await pausedEmulator(t);
  const lock = lockOver(machineLayer(stubRuntime(home)));
  await lock.reboots(uuid);
  const before = await emulators(uuid);
  t.is(before.length, 1);
  t.deepEqual(await watchOnce(lock.deps), [], 'in time it is left alone');
  t.deepEqual(await emulators(uuid), before);

  lock.deps.clock.time = later(601);
  t.like(await watchOnce(lock.deps), [{kind: 'power-cycle'}]);
  const after = await emulators(uuid);
  t.is(after.length, 1);
  t.notDeepEqual(after, before, 'another process: the power was off');
  t.false(lock.logged.includes('power cycle failed'));
  t.like(await watchOnce(lock.deps), [{kind: 'alert'}]);
  t.deepEqual(await emulators(uuid), after, 'and once only');
  t.deepEqual(await lock.holders(), [uuid]);

  await removeMachine(deps, 'web1', false, quiet);
  t.like(await watchOnce(lock.deps), [{kind: 'free'}]);
  t.deepEqual(await lock.holders(), []);
  t.deepEqual(lock.audit(), [
    {action: 'lock-power-cycled', actor: 'watchdog', machine: uuid},
    {action: 'lock-freed-machine-gone', actor: 'watchdog', machine: uuid},
  ]);
});

test('an emulator that died is started again by the power cycle', async t => {
  const {home, deps, uuid} = await pausedEmulator(t);
  await killMachine(deps, 'web1', silentProgress);
  const machines = machineLayer(stubRuntime(home));
  t.is(await machines.state(uuid), 'stopped');
  await machines.powerCycle(uuid);
  t.is(await machines.state(uuid), 'running');
  t.is((await emulators(uuid)).length, 1);
});

async function inMemory(t: ExecutionContext) {
  const home = await temporaryFolder(t);
  const cloud = new FakeCloud();
  const driver = fakeDriver(cloud);
  const deps = await stubDeps(home, [driver]);
  await createMachine(deps, {name: 'web1', driver: 'fake', settings: {}, seconds: 5}, silentProgress);
  const {uuid} = (await loadMachine(deps.store, 'web1')).record;
  return {home, cloud, driver, deps, uuid, machines: machineLayer(stubRuntime(home), [driver])};
}

test('running, stopped, gone by the driver; a machine of another store is unknown, and never gone', async t => {
  const {cloud, deps, uuid, machines} = await inMemory(t);
  t.is(await machines.state(uuid), 'running');
  t.is(await machines.state(stranger), 'unknown');
  await t.throwsAsync(() => machines.powerCycle(stranger), {code: 'no-such-machine'});
  await killMachine(deps, 'web1', silentProgress);
  t.is(await machines.state(uuid), 'stopped');
  cloud.remove(uuid);
  t.is(await machines.state(uuid), 'gone', 'the driver made sure');
});

test('a machine whose driver could not destroy it is not gone, though rm -f removed its files', async t => {
  const {deps, driver, uuid, machines} = await inMemory(t);
  const closed = {
    ...driver,
    destroy: () => Promise.reject(new MachineError('driver-failed', 'the cloud is closed')),
  };
  await removeMachine({...deps, registry: [closed]}, 'web1', true, quiet);
  t.deepEqual(await deps.store.names(), []);
  t.is(await machines.state(uuid), 'unknown');
});

test('a machine that is half removed is looked at, not believed', async t => {
  const {deps, uuid, machines} = await inMemory(t);
  await deps.store.noteRemoved({uuid, name: 'web1'});
  t.is(await machines.state(uuid), 'running');
});

test('a record that cannot be read makes nothing gone, and does not hide the others', async t => {
  const {deps, uuid, machines} = await inMemory(t);
  await createMachine(deps, {name: 'web2', driver: 'fake', settings: {}, seconds: 5}, silentProgress);
  await writeFile(join(deps.store.folder('web1'), 'machine.json'), '{');
  const other = (await loadMachine(deps.store, 'web2')).record.uuid;
  t.is(await machines.state(uuid), 'unknown');
  t.is(await machines.state(other), 'running');
});

test('a driver that does not answer: the group stands still, and the reason is logged', async t => {
  const {home, driver, uuid} = await inMemory(t);
  const silent = {...driver, observe: () => Promise.reject(new Error('no answer'))};
  const lock = lockOver(machineLayer(stubRuntime(home), [silent]));
  await lock.reboots(uuid);
  lock.deps.clock.time = later(601);
  t.like(await watchOnce(lock.deps), [{kind: 'alert', why: 'the machine layer does not know it'}]);
  t.true(lock.logged.includes('lock watchdog: the machine layer does not answer'));
});

test('a machine that somebody works on is not pulled from under them', async t => {
  const {deps, cloud, uuid, machines} = await inMemory(t);
  await withMachine(deps, 'web1', async () => {
    await t.throwsAsync(() => machines.powerCycle(uuid), {code: 'busy'});
  });
  t.true(cloud.things.some(({kind, running}) => kind === 'server' && running));
});

test('a home without machines is not touched', async t => {
  const home = await temporaryFolder(t);
  t.is(await machineLayer(stubRuntime(home)).state(stranger), 'unknown');
  await t.throwsAsync(() => stat(join(home, 'machines')), {code: 'ENOENT'});
});
