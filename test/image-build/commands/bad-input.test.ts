import {copyFile, mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {exec} from '../../../services/common/exec.ts';
import {environmentOf, launcher} from '../../support/cli.ts';
import {loadRecipe} from '../../../image-build/recipe/load.ts';

const recipe = join(import.meta.dirname, '../../../image-build/recipe.yaml');

const hex = 'a'.repeat(64);
const manifest = {
  schema: 1,
  name: 'hawser',
  version: '1.0.0',
  architecture: 'x86_64',
  locked: true,
  signed: false,
  rootHash: hex,
  kernel: '6.12',
  lockSha256: hex,
  inputs: hex,
  artefacts: {disk: {file: 'x.raw', size: 10, sha256: hex}},
};

interface Run {
  readonly home: string;
  readonly hawser: (
    ...args: readonly string[]
  ) => Promise<{code: number | null; stdout: string; stderr: string}>;
  readonly image: (name: string, content: unknown) => Promise<string>;
}

async function start(t: ExecutionContext): Promise<Run> {
  const home = await mkdtemp(join(tmpdir(), 'hawser-bad-'));
  t.teardown(() => rm(home, {recursive: true, force: true}));
  return {
    home,
    hawser: async (...args) =>
      exec([launcher, ...args], {
        timeoutMs: 60_000,
        cwd: home,
        env: environmentOf(home),
        okCodes: [0, 1, 2],
      }),
    image: async (name, content) => {
      const folder = join(home, 'images', name);
      await mkdir(folder, {recursive: true});
      if (content !== undefined)
        await writeFile(
          join(folder, 'manifest.json'),
          typeof content === 'string' ? content : JSON.stringify(content),
        );
      return folder;
    },
  };
}

/** One line for people, exit code 1, nothing on standard output. */
function refused(
  t: ExecutionContext,
  result: {code: number | null; stdout: string; stderr: string},
  wanted: RegExp,
): void {
  t.is(result.code, 1, result.stderr);
  t.is(result.stdout, '');
  t.is(result.stderr.trimEnd().split('\n').length, 1, result.stderr);
  t.regex(result.stderr, /^hawser: /);
  t.regex(result.stderr, wanted);
}

test('an image that is not there is named, with the way to get one', async t => {
  const {hawser} = await start(t);
  const wanted = /there is no image at .*: see "hawser image ls", or build one with "hawser image build"/;
  refused(t, await hawser('image', 'inspect'), wanted);
  refused(t, await hawser('image', 'verify', './nothing'), wanted);
  refused(t, await hawser('image', 'diff', '1.0.0-a', '1.0.0-b'), wanted);
});

test('a folder without manifest, a damaged one and one of a newer schema are told apart', async t => {
  const {hawser, image} = await start(t);
  await image('empty', undefined);
  refused(t, await hawser('image', 'inspect', 'empty'), /has no manifest\.json that can be read/);
  await image('damaged', '{"schema": 1,');
  refused(t, await hawser('image', 'inspect', 'damaged'), /manifest\.json is not JSON/);
  await image('wrong', {...manifest, rootHash: 'short'});
  refused(t, await hawser('image', 'verify', 'wrong'), /is not valid at \/rootHash/);
  await image('newer', {schema: 2, everything: 'else'});
  refused(
    t,
    await hawser('image', 'inspect', 'newer'),
    /has schema 2, this version of hawser knows 1: use a newer hawser/,
  );
});

test('artefacts that are missing or cut off are named', async t => {
  const {hawser, image} = await start(t);
  const folder = await image('x', {...manifest, artefacts: {uki: {file: 'x.efi', size: 10, sha256: hex}}});
  refused(t, await hawser('image', 'inspect', 'x'), /x\.efi is missing/);
  await writeFile(join(folder, 'x.efi'), 'short');
  refused(t, await hawser('image', 'inspect', 'x'), /x\.efi has 5 bytes, its manifest says 10/);
  refused(t, await hawser('image', 'inspect', 'x', '--sizes'), /sizes\.json is missing/);
  refused(t, await hawser('image', 'verify', 'x'), /image\.lock\.json is missing/);
});

test('signing input that is not whole is refused before anything is built', async t => {
  const {hawser, home} = await start(t);
  refused(
    t,
    await hawser('image', 'build', '--keys', 'no-such-folder'),
    /there are no keys in .*no-such-folder: make them with: hawser keys init/,
  );
  await mkdir(join(home, 'some'));
  await writeFile(join(home, 'some', 'PK.key'), 'x', {mode: 0o600});
  refused(t, await hawser('image', 'build', '--keys', 'some'), /\/some\/.* is missing: put it back/);
  refused(
    t,
    await hawser('image', 'build', '--signatures', 'some'),
    /\/some\/uki\.sig is missing: name the folder "signatures" of a signed image/,
  );
});

test('a recipe that is not there, without lock, or that a lock does not fit', async t => {
  const {hawser, home} = await start(t);
  refused(
    t,
    await hawser('image', 'build', '--recipe', 'none.yaml'),
    /none\.yaml does not exist: name the recipe with --recipe FILE/,
  );
  const other = {...(await loadRecipe(recipe)), name: 'other'};
  await writeFile(
    join(home, 'recipe.yaml'),
    JSON.stringify({...other, build: {...other.build, packages: ['bash']}}),
  );
  refused(
    t,
    await hawser('image', 'build', '--recipe', 'recipe.yaml'),
    /image\.lock\.json does not exist: run "hawser image lock"/,
  );
  await exec(['cp', join(import.meta.dirname, '../../../image-build/image.lock.json'), home], {
    timeoutMs: 10_000,
  });
  refused(
    t,
    await hawser('image', 'build', '--recipe', 'recipe.yaml', '--unsigned'),
    /the lock was made from another recipe: run "hawser image lock"/,
  );
});

test('flags that exclude each other are said so', async t => {
  const {hawser} = await start(t);
  for (const [args, wanted] of [
    [['build', '--keys', 'a', '--unsigned'], /--keys, --signatures and --unsigned exclude each other/],
    [['build', '--release', '--refresh'], /--release and --refresh exclude each other/],
    [['inspect', '--output', 'xml'], /there is no image|--output cannot be "xml"/],
    [['prune', '--keep', '-1'], /--keep/],
  ] as const) {
    const {code, stderr} = await hawser('image', ...args);
    t.true(code === 1 || code === 2);
    t.regex(stderr, wanted);
  }
});

test('a damaged image is listed, and prune takes it only with --yes', async t => {
  const {hawser, image} = await start(t);
  t.regex((await hawser('image', 'ls')).stdout, /there is no image yet/);
  await image('old', '{');
  t.regex((await hawser('image', 'ls')).stdout, /old +\(damaged\)/);
  t.regex((await hawser('image', 'prune')).stdout, /would remove .*old\nwould free .*--yes/);
  t.regex((await hawser('image', 'ls')).stdout, /old/);
  t.regex((await hawser('image', 'prune', '--yes')).stdout, /removed .*old\nfreed/);
  t.regex((await hawser('image', 'ls')).stdout, /there is no image yet/);
});

test('other suites: not without a lock of their own, and only words', async t => {
  const {hawser} = await start(t);
  const alone = await hawser('image', 'lock', '--suites', 'trixie');
  t.is(alone.code, 1);
  t.regex(alone.stderr, /--suites needs a lock of its own: add --lock FILE/);
  const strange = await hawser('image', 'build', '--suites', 'trixie main [trusted=yes]', '--lock', 'x.json');
  t.is(strange.code, 1);
  t.regex(strange.stderr, /--suites is "trixie main \[trusted=yes\]"/);
  const absent = await hawser('image', 'build', '--suites', 'trixie', '--lock', 'x.json');
  t.regex(absent.stderr, /x\.json does not exist: run "hawser image lock"/);
});

test('a lock of other suites does not fit the recipe as it is written', async t => {
  const {home, hawser} = await start(t);
  const lock = join(home, 'other.json');
  await copyFile(join(recipe, '../image.lock.json'), lock);
  const {code, stderr} = await hawser('image', 'build', '--suites', 'trixie', '--lock', lock);
  t.is(code, 1);
  t.regex(stderr, /the lock was made from another recipe/);
});
