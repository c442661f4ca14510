/** Provisioners, run for real in a root made of this machine's own shell, Python and a few programs. */
import {cp, lstat, mkdir, mkdtemp, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {openCache} from '../../../image-build/cache.ts';
import {ImageError} from '../../../image-build/errors.ts';
import {openStore} from '../../../image-build/packages/store.ts';
import {loadRecipe} from '../../../image-build/recipe/load.ts';
import type {Provisioner} from '../../../image-build/recipe/recipe.ts';
import type {BuildContext} from '../../../image-build/steps/context.ts';
import type {Kernel} from '../../../image-build/steps/kernel.ts';
import {buildBaseTree, buildTree} from '../../../image-build/steps/tree.ts';
import {exec, ExecError} from '../../../services/common/exec.ts';
import {silentProgress} from '../../../services/common/progress.ts';

const fixture = fileURLToPath(new URL('../../fixtures/recipes/provisioned', import.meta.url));
const signal = new AbortController().signal;
const programs = ['sh', 'cat', 'ls', 'sed', 'grep', 'echo', 'dd', 'rm', 'mkdir', 'chmod', 'sleep', 'id'];

/** Copies programs and the libraries that they load; `python` adds Python with its standard library. */
async function makeRoot(root: string, python: boolean): Promise<void> {
  for (const name of ['usr/bin', 'usr/lib', 'usr/lib64', 'proc', 'dev', 'tmp', 'run', 'root']) {
    await mkdir(join(root, name), {recursive: true});
  }
  for (const name of ['bin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(root, name));
  const files = programs.map(name => `/usr/bin/${name}`);
  if (python) files.push('/usr/bin/python3');
  const {stdout} = await exec(['ldd', ...files], {timeoutMs: 20_000});
  const libraries = [
    ...new Set([...stdout.matchAll(/(?:=> |^\t)(\/\S+) \(/gm)].map(([, path = '']) => path)),
  ];
  for (const path of [...files, ...libraries]) {
    const inside = path.startsWith('/usr/') ? path : `/usr${path}`;
    await mkdir(dirname(join(root, inside)), {recursive: true});
    await cp(path, join(root, inside), {dereference: true});
  }
  if (python) {
    const {stdout: folder} = await exec(
      ['/usr/bin/python3', '-c', 'import os; print(os.path.dirname(os.__file__), end="")'],
      {timeoutMs: 20_000},
    );
    await exec(['cp', '-a', '--', folder, join(root, 'usr/lib')], {timeoutMs: 60_000});
    await mkdir(join(root, 'usr/lib/python3'), {recursive: true});
  }
  await mkdir(join(root, 'etc'));
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  await writeFile(join(root, 'etc/group'), 'root:x:0:\n');
  await writeFile(join(root, 'usr/lib/os-release'), 'ID=debian\n');
}

interface Bench {
  readonly context: BuildContext;
  readonly kernel: Kernel;
  readonly work: string;
}

async function prepare(
  t: ExecutionContext,
  {python = false, steps}: {python?: boolean; steps?: readonly Provisioner[]} = {},
): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-provision-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  const root = join(folder, 'root');
  await makeRoot(root, python);
  const loaded = await loadRecipe(join(fixture, 'recipe.yaml'));
  const recipe =
    steps === undefined ? loaded : {...loaded, provision: {...loaded.provision, steps: [...steps]}};
  const kernel = {folder: join(folder, 'kernel'), version: '6.0'};
  await mkdir(join(kernel.folder, 'lib/modules/6.0'), {recursive: true});
  const work = join(folder, 'work');
  await mkdir(work);
  const context: BuildContext = {
    recipe,
    recipeFolder: fixture,
    lock: {schema: 1, request: '', epoch: 1234, seed: '', tools: [], image: [], kernel: [], npm: []},
    cache: openCache(join(folder, 'cache')),
    store: openStore(join(folder, 'store')),
    toolsRoot: root,
    imageRoot: root,
    progress: silentProgress,
    signal,
  };
  return {context, kernel, work};
}

async function build({context, kernel, work}: Bench): Promise<(name: string) => Promise<string>> {
  const base = await buildBaseTree(context, kernel);
  await buildTree(context, {base, kernel, version: '1.2.3', agents: {}, npm: {}}, work);
  return name => readFile(join(work, 'usr', name), 'utf8');
}

const isRoot = process.getuid?.() === 0;
const asRoot = isRoot ? test : test.skip;
const hasAnsible = await exec(['ansible-playbook', '--version'], {timeoutMs: 30_000}).then(
  () => true,
  (error: unknown) => {
    if (error instanceof ExecError && error.code === 'not-found') return false;
    throw error;
  },
);
if (!isRoot) process.stderr.write('SKIPPED: provisioners are tested as root only\n');
else if (!hasAnsible)
  process.stderr.write('SKIPPED: playbooks need ansible-playbook (package ansible-core)\n');

(isRoot && hasAnsible ? test : test.skip)(
  'files, a script and a playbook change the image in the order of the recipe, the cached root stays as it was',
  async t => {
    const bench = await prepare(t, {python: true});
    const read = await build(bench);
    t.is(await read('lib/example/settings'), 'greeting=good day\n');
    t.is(await read('lib/example/script'), 'from the script, with /run/recipe/recipe.yaml, epoch 1234\n');
    t.is(await read('share/hawser/etc/example.conf'), 'PermitRootLogin yes\n');
    t.is(await read('lib/example/playbook'), 'from the playbook\n');
    t.is((await lstat(join(bench.work, 'usr/lib/example/playbook'))).mode & 0o777, 0o640);
    t.is(await read('lib/example/banner'), 'placed last\n');
    t.regex(await read('lib/os-release'), /^VERSION_ID=1\.2\.3$/m);
    // What build.remove names is gone, though the playbook needed it.
    await t.throwsAsync(read('bin/python3'), {code: 'ENOENT'});
    for (const name of ['usr/lib/example', 'etc/example.conf', 'root/.ansible', 'tmp/ansible']) {
      await t.throwsAsync(lstat(join(bench.context.imageRoot, name)), {code: 'ENOENT'});
    }
  },
);

asRoot('a script that edits a file in place does not reach the cached root', async t => {
  const bench = await prepare(t, {
    steps: [
      {type: 'files', source: 'files', destination: '/'},
      {type: 'script', path: 'setup.sh'},
    ],
  });
  await mkdir(join(bench.context.imageRoot, 'usr/lib/example'));
  await writeFile(join(bench.context.imageRoot, 'usr/lib/example/script'), 'packaged\n');
  const read = await build(bench);
  t.regex(await read('lib/example/script'), /^from the script/);
  t.is(await readFile(join(bench.context.imageRoot, 'usr/lib/example/script'), 'utf8'), 'packaged\n');
});

const failing = test.macro({
  title: (title = '') => title,
  exec: async (t, step: Provisioner, code: ImageError['code'], message: RegExp) => {
    const bench = await prepare(t, {steps: [step]});
    const error = await t.throwsAsync(build(bench), {instanceOf: ImageError});
    t.is(error?.code, code, error?.message);
    t.regex(error?.message ?? '', message);
  },
});
asRoot(
  'a script that fails is named with its last words',
  failing,
  {type: 'script', path: 'setup.sh'},
  'step-failed',
  /setup\.sh failed: .*settings/,
);
asRoot(
  'a script that is not executable is refused',
  failing,
  {type: 'script', path: 'banner'},
  'recipe-invalid',
  /banner is not an executable file/,
);
asRoot(
  'a script that is absent is refused',
  failing,
  {type: 'script', path: 'no.sh'},
  'recipe-invalid',
  /no\.sh/,
);
asRoot(
  'a playbook for a root without Python is refused',
  failing,
  {type: 'ansible', playbook: 'playbook.yaml'},
  'recipe-invalid',
  /needs Python/,
);
(isRoot && hasAnsible ? test : test.skip)(
  'a playbook that fails is named with the reason of its task',
  async t => {
    const bench = await prepare(t, {python: true, steps: [{type: 'ansible', playbook: 'playbook.yaml'}]});
    const error = await t.throwsAsync(build(bench), {instanceOf: ImageError});
    t.is(error?.code, 'step-failed');
    t.regex(error?.message ?? '', /playbook\.yaml failed: fatal: .*example/);
  },
);
