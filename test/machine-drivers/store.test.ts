import {mkdir, readFile, readdir, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {systemClock} from '../../services/common/clock.ts';
import {exec} from '../../services/common/exec.ts';
import {silentProgress} from '../../services/common/progress.ts';
import {createMachine} from '../../machine-drivers/create.ts';
import {removeMachine} from '../../machine-drivers/lifecycle.ts';
import {observeAll} from '../../machine-drivers/listing.ts';
import {loadMachine} from '../../machine-drivers/machine.ts';
import {takeLock} from '../../machine-drivers/store/lock.ts';
import {ownIdentity} from '../../services/common/process-identity.ts';
import {unlinkedName} from '../../services/common/process-lock.ts';
import {openStore} from '../../machine-drivers/store/store.ts';
import {FakeCloud, fakeDriver} from './support/fake-driver.ts';
import {stubDeps, temporaryFolder} from './support/runtime.ts';

const never = new AbortController().signal;
const wish = (name: string) => ({name, driver: 'fake', settings: {}, seconds: 1});

test('damaged and newer records: a precise error, and ls still shows those machines', async t => {
  const home = await temporaryFolder(t);
  const deps = await stubDeps(home, [fakeDriver(new FakeCloud())]);
  const record = async (name: string) => {
    await createMachine(deps, wish(name), silentProgress);
    return join(deps.store.folder(name), 'machine.json');
  };
  const cut = await record('cut');
  await writeFile(cut, (await readFile(cut, 'utf8')).slice(0, 40));
  const newer = await record('newer');
  await writeFile(newer, (await readFile(newer, 'utf8')).replace('"schema": 1', '"schema": 2'));
  const swapped = await record('swapped');
  await writeFile(swapped, (await readFile(swapped, 'utf8')).replace('"swapped"', '"other"'));
  const ledger = await record('ledger');
  await writeFile(ledger.replace('machine.json', 'ledger.jsonl'), 'nonsense\n');
  await record('well');

  await t.throwsAsync(deps.store.load('cut'), {code: 'store-damaged', message: `${cut} is not JSON`});
  const error = await t.throwsAsync(deps.store.load('newer'), {code: 'store-newer'});
  t.regex(error.message, /written by a newer Hawser \(schema 2\)/);
  await t.throwsAsync(deps.store.load('swapped'), {
    code: 'store-damaged',
    message: /is the record of "other"/,
  });
  await t.throwsAsync(deps.store.load('ledger'), {
    code: 'store-damaged',
    message: /ledger\.jsonl line 1 is not JSON/,
  });

  const rows = await observeAll(deps, await deps.store.names(), undefined, 1000);
  t.deepEqual(
    rows.map(row => [row.name, row.state]),
    [
      ['cut', 'Error'],
      ['ledger', 'Error'],
      ['newer', 'Error'],
      ['swapped', 'Error'],
      ['well', 'Running'],
    ],
  );
  t.regex(rows[2]?.error ?? '', /update this Hawser/);
});

test('a damaged machine goes by force only, and others can still be made beside it', async t => {
  const home = await temporaryFolder(t);
  const deps = await stubDeps(home, [fakeDriver(new FakeCloud())]);
  await createMachine(deps, wish('bad'), silentProgress);
  await writeFile(join(deps.store.folder('bad'), 'machine.json'), '{');
  const warned: string[] = [];
  const report = {progress: silentProgress, warn: (line: string) => void warned.push(line)};
  await t.throwsAsync(createMachine(deps, wish('bad'), silentProgress), {code: 'store-damaged'});
  await t.throwsAsync(removeMachine(deps, 'bad', false, report), {code: 'store-damaged'});
  await t.notThrowsAsync(createMachine(deps, wish('good'), silentProgress));
  await removeMachine(deps, 'bad', true, report);
  t.regex(warned.join('\n'), /is not JSON/);
  t.deepEqual(await deps.store.names(), ['good']);
});

test('the store and its files are for their owner alone', async t => {
  const home = await temporaryFolder(t);
  const deps = await stubDeps(home, [fakeDriver(new FakeCloud())]);
  await createMachine(deps, wish('m'), silentProgress);
  const folder = deps.store.folder('m');
  t.is((await stat(deps.store.root)).mode & 0o777, 0o700);
  t.is((await stat(folder)).mode & 0o777, 0o700);
  for (const file of ['machine.json', 'ledger.jsonl', 'first-boot.ign', 'id_ed25519']) {
    t.is((await stat(join(folder, file))).mode & 0o077, 0, file);
  }
});

test('a removed machine leaves no file of its own but the note that it is gone', async t => {
  const home = await temporaryFolder(t);
  const deps = await stubDeps(home, [fakeDriver(new FakeCloud())]);
  await createMachine(deps, wish('m'), silentProgress);
  const {uuid} = (await loadMachine(deps.store, 'm')).record;
  await removeMachine(deps, 'm', false, {progress: silentProgress, warn: () => undefined});
  t.deepEqual((await readdir(deps.store.root)).sort(), ['.locks', '.removed', '.store.json']);
  t.deepEqual(await readdir(join(deps.store.root, '.removed')), [`${uuid}.json`]);
  t.deepEqual(await readdir(join(deps.store.root, '.locks')), []);
});

test('the folder of a creation that died before its record is no machine, and its name is free', async t => {
  const home = await temporaryFolder(t);
  const deps = await stubDeps(home, [fakeDriver(new FakeCloud())]);
  await mkdir(deps.store.folder('m'));
  await writeFile(join(deps.store.folder('m'), '.machine.json.1234.tmp'), '{"sch');
  t.deepEqual(await deps.store.names(), []);
  t.is(await deps.store.load('m'), undefined);
  await t.notThrowsAsync(createMachine(deps, wish('m'), silentProgress));
});

test('names are listed as people count', async t => {
  const home = await temporaryFolder(t);
  const deps = await stubDeps(home, [fakeDriver(new FakeCloud())]);
  for (const name of ['node10', 'node2', 'node1']) await createMachine(deps, wish(name), silentProgress);
  t.deepEqual(await deps.store.names(), ['node1', 'node2', 'node10']);
});

test('the fleet gets one name, whoever asks first', async t => {
  const home = await temporaryFolder(t);
  const stores = await Promise.all(Array.from({length: 5}, () => openStore(home, systemClock)));
  const names = await Promise.all(stores.map(store => store.fleet(never)));
  t.is(new Set(names).size, 1);
});

const lockWish = (path: string, waitMs: number) => ({
  path,
  what: 'the thing',
  waitMs,
  clock: systemClock,
  signal: never,
});

test('a lock held by a live process is respected, and named', async t => {
  const path = join(await temporaryFolder(t), 'lock');
  await using _ = await takeLock(lockWish(path, 0));
  const error = await t.throwsAsync(takeLock(lockWish(path, 100)), {code: 'busy'});
  t.regex(error.message, new RegExp(`process ${process.pid}`));
});

test('a lock is free once it is released', async t => {
  const path = join(await temporaryFolder(t), 'lock');
  for (let round = 0; round < 3; round++) {
    await using _ = await takeLock(lockWish(path, 0));
  }
  t.pass();
});

const holder = fileURLToPath(new URL('./fixtures/hold-lock.ts', import.meta.url));

test('the lock of a killed process is void, also when its number lives on', async t => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'lock');
  await t.throwsAsync(exec([process.execPath, holder, path], {timeoutMs: 20_000}), {
    code: 'failed',
    message: /SIGKILL/,
  });
  t.truthy(await readFile(path, 'utf8'));
  {
    await using _ = await takeLock(lockWish(path, 0));
  }
  // Our own number, another start time: a process that is not us.
  await writeFile(path, JSON.stringify({pid: process.pid, started: '1', token: 'x'}));
  await using _ = await takeLock(lockWish(path, 0));
  t.deepEqual(await readdir(folder), ['lock']);
});

test('what a process left that was killed while it took a lock goes with its lock; of a live one it stays', async t => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'lock');
  const [killed, other] = [{pid: process.pid, started: '1'}, await ownIdentity()];
  const theirs = unlinkedName(other);
  for (const name of [unlinkedName(killed), theirs]) await writeFile(join(folder, name), '');
  await writeFile(path, JSON.stringify({...killed, token: 'x'}));
  await using _ = await takeLock(lockWish(path, 0));
  t.deepEqual((await readdir(folder)).sort(), [theirs, 'lock'].sort());
});

test('many that find one void lock never hold it together', async t => {
  const path = join(await temporaryFolder(t), 'lock');
  await writeFile(path, JSON.stringify({pid: process.pid, started: '1', token: 'x'}));
  let inside = 0;
  let most = 0;
  const visit = async () => {
    await using _ = await takeLock(lockWish(path, 20_000));
    inside++;
    most = Math.max(most, inside);
    await systemClock.sleep(5);
    inside--;
  };
  await Promise.all(Array.from({length: 20}, visit));
  t.is(most, 1);
});
