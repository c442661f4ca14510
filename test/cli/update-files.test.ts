import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {updateFiles} from '../../services/cli/update-files.ts';
import {agentFiles} from '../../services/common/contracts/agent.ts';

const wish = {server: 'https://10.0.2.2:8443', labels: {group: 'web'}};

async function homeWith(t: ExecutionContext, files: Readonly<Record<string, string>>): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'hawser-root-'));
  t.teardown(() => rm(home, {recursive: true}));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(home, path, '..'), {recursive: true});
    await writeFile(join(home, path), text);
  }
  return home;
}

async function rootGiven(home: string, root?: string): Promise<string | undefined> {
  const files = await updateFiles({...wish, ...(root === undefined ? {} : {root})}, home);
  return files.find(({path}) => path === agentFiles.trustedRoot)?.contents;
}

const repository = {
  'repository/metadata/2.root.json': 'second',
  'repository/metadata/10.root.json': 'tenth',
  'repository/metadata/11.targets.json': 'no root',
};

test("machines are given the publisher's root, whatever the repository holds", async t => {
  const home = await homeWith(t, {...repository, 'release-keys/root.json': 'kept'});
  t.is(await rootGiven(home), 'kept');
});

test('without keys, the newest root of the repository, by number', async t => {
  t.is(await rootGiven(await homeWith(t, repository)), 'tenth');
});

test('a root that is named wins', async t => {
  const home = await homeWith(t, {...repository, 'release-keys/root.json': 'kept', 'mine.json': 'mine'});
  t.is(await rootGiven(home, join(home, 'mine.json')), 'mine');
});

test('without any root the machine is not made, and both places are named', async t => {
  const error = await t.throwsAsync(() => homeWith(t, {}).then(home => rootGiven(home)), {
    code: 'bad-config',
  });
  t.regex(error.message, /release-keys\/root\.json or .*repository\/metadata/);
});

test("a publisher's root that cannot be read is said, not passed over", async t => {
  const home = await homeWith(t, {...repository, 'release-keys/root.json/in-the-way': ''});
  await t.throwsAsync(() => rootGiven(home), {code: 'EISDIR'});
});
