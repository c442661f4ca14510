import {readdir} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createMachine} from '../../machine-drivers/create.ts';
import {withMachine} from '../../machine-drivers/lifecycle.ts';
import {silentProgress} from '../../services/common/progress.ts';
import {FakeCloud, fakeDriver} from './support/fake-driver.ts';
import {stubDeps, temporaryFolder} from './support/runtime.ts';

test('a machine is locked until the work on it has ended, and not longer', async t => {
  const home = await temporaryFolder(t);
  const deps = await stubDeps(home, [fakeDriver(new FakeCloud())]);
  const wish = {name: 'web1', driver: 'fake', settings: {}, seconds: 5, onFailure: 'keep'} as const;
  await createMachine(deps, wish, silentProgress);
  const locked = async () => (await readdir(join(home, 'machines', '.locks'))).includes('web1');
  t.false(await locked());
  const during = await withMachine(deps, 'web1', async () => {
    await new Promise(resolve => setImmediate(resolve));
    return locked();
  });
  t.true(during);
  t.false(await locked());
});
