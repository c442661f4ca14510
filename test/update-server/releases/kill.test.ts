/** A publisher that dies leaves the old repository or the new one, and the next command goes on from there. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {refreshRepository} from '../../../services/update-server/releases/refresh.ts';
import {rotateKeys} from '../../../services/update-server/releases/rotate.ts';
import {roles} from '../../../services/update-server/releases/keys/key.ts';
import {loadState} from '../../../services/update-server/releases/state.ts';
import {withdrawRelease} from '../../../services/update-server/releases/withdraw.ts';
import {independentClient, machine} from './clients.ts';
import {bench, dyingStore, type Bench} from './support.ts';

/** Kills `work` before each of its writes; clients, old and new, must see `before` until the last one. */
const killedAtEachWrite = test.macro(
  async (t, work: (b: Bench) => Promise<unknown>, before: readonly string[], after: readonly string[]) => {
    for (let writes = 0; ; writes++) {
      const b = await bench(t);
      await b.publish('1.0.0');
      const [oldMachine, oldClient] = [await machine(b), await independentClient(b)];
      t.deepEqual(await oldMachine.versions(), ['1.0.0']);
      t.deepEqual(await oldClient.versions(), ['1.0.0']);
      const store = dyingStore(b.store, writes);
      const finished = await work(b.with({store})).then(
        () => true,
        (error: unknown) => {
          if (error instanceof Error && error.message === 'killed here') return false;
          throw error;
        },
      );
      const expected = finished ? after : before;
      for (const client of [oldMachine, oldClient, await machine(b), await independentClient(b)])
        t.deepEqual(await client.versions(), expected, `killed after ${writes} writes`);
      await t.notThrowsAsync(work(b), `again after ${writes} writes`);
      for (const client of [oldMachine, oldClient, await machine(b)])
        t.deepEqual(await client.versions(), after);
      if (finished) break;
      t.true(writes < 20);
    }
  },
);

test(
  'publish, killed at each write',
  killedAtEachWrite,
  b => b.publish('1.1.0'),
  ['1.0.0'],
  ['1.0.0', '1.1.0'],
);
test(
  'withdraw, killed at each write',
  killedAtEachWrite,
  b => withdrawRelease(b, '1.0.0', 'bad'),
  ['1.0.0'],
  [],
);
test(
  'refresh, killed at each write',
  killedAtEachWrite,
  b => refreshRepository(b, {force: true}),
  ['1.0.0'],
  ['1.0.0'],
);
for (const role of roles)
  test(
    `rotation of ${role}, killed at each write`,
    killedAtEachWrite,
    b => rotateKeys(b, {role}),
    ['1.0.0'],
    ['1.0.0'],
  );

const publisher = fileURLToPath(new URL('./fixtures/publish-forever.ts', import.meta.url));

test('publishers that get SIGKILL at any moment leave a repository that is whole', async t => {
  const b = await bench(t);
  await b.publish('1.0.0');
  const old = await machine(b);
  let seen = (await old.versions()).length;
  for (let round = 0; round < 8; round++) {
    const child = spawn(process.execPath, [publisher, b.home, `${round + 2}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exit = once(child, 'exit');
    // The moment of death is anywhere in the first release (even rounds) or after it, however slow this machine is.
    await once(child.stdout, 'data');
    if (round % 2 === 1) await once(child.stdout, 'data');
    await new Promise(resolve => setTimeout(resolve, Math.random() * 120));
    child.kill('SIGKILL');
    await exit;
    const versions = await old.versions();
    t.true(versions.length >= seen);
    seen = versions.length;
    t.deepEqual(await (await independentClient(b)).versions(), versions);
    await t.notThrowsAsync(loadState(b.store, await b.keys.memory.load()));
  }
  t.true(seen > 4, 'every second publisher came as far as one release');
  await b.publish('99.0.0');
  t.true((await old.versions()).includes('99.0.0'));
  const names = await readdir(join(b.repository, 'metadata'));
  t.true(names.filter(name => name.endsWith('.targets.json')).length > 2);
});
