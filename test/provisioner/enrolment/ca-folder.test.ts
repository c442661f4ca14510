import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {
  createFolderOnce,
  readFolder,
  replaceFolder,
} from '../../../services/provisioner/enrolment/ca-folder.ts';

const names = ['a', 'b', 'c', 'd'] as const;
const filled = (text: string): Record<string, string> => Object.fromEntries(names.map(name => [name, text]));

test('a reader sees a folder that is made and replaced meanwhile whole, or not at all', async t => {
  const home = await mkdtemp(join(tmpdir(), 'hawser-ca-folder-'));
  t.teardown(() => rm(home, {recursive: true, force: true}));
  const folder = join(home, 'ca');
  const work = {done: false};
  const seen = new Set<string>();
  const reader = async (): Promise<void> => {
    while (!work.done) {
      const found = await readFolder(folder, names);
      const texts = names.map(name => found[name]);
      t.is(new Set(texts).size, 1, JSON.stringify(texts));
      seen.add(texts[0] ?? 'missing');
    }
  };
  const readers = [reader(), reader(), reader()];
  await new Promise(resolve => setTimeout(resolve, 5));
  await createFolderOnce(folder, filled('first'));
  for (let round = 0; round < 40; round += 1) await replaceFolder(folder, filled(`round ${round}`));
  work.done = true;
  await Promise.all(readers);
  t.true(seen.has('missing') && seen.size > 2);
});
