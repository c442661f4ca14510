import {readFile} from 'node:fs/promises';
import {dirname} from 'node:path';
import test from 'ava';
import {ImageError} from '../../../image-build/errors.ts';
import {checkRecipeFolder, loadRecipe, parseRecipe} from '../../../image-build/recipe/load.ts';

const path = new URL('../../../image-build/recipe.yaml', import.meta.url).pathname;
const recipe = await readFile(path, 'utf8');

test('the recipe of the Hawser image is valid', t => {
  t.is(parseRecipe(recipe, 'recipe.yaml').name, 'hawser');
});

test('what belongs beside a recipe is missed by name', async t => {
  const parsed = parseRecipe(recipe, 'recipe.yaml');
  await t.notThrowsAsync(checkRecipeFolder(parsed, dirname(path)));
  const error = await t.throwsAsync(checkRecipeFolder(parsed, '/nowhere'), {instanceOf: ImageError});
  t.is(error?.message, 'there is no modules.list beside the recipe, in /nowhere');
  t.truthy(error?.remedy);
});

test('a recipe that does not exist names its path', async t => {
  const error = await t.throwsAsync(loadRecipe('/nowhere/recipe.yaml'), {instanceOf: ImageError});
  t.is(error?.code, 'recipe-invalid');
  t.true(error?.message.includes('/nowhere/recipe.yaml'));
});

/** Replaces `from`, which must be there, and gives the 1-based line of the first line that then differs. */
function edited(from: string, to: string): {text: string; line: number} {
  if (!recipe.includes(from)) throw new Error(`the recipe has no ${from}`);
  const text = recipe.replace(from, to);
  const before = recipe.split('\n');
  return {text, line: text.split('\n').findIndex((line, index) => line !== before[index]) + 1};
}

const wrong = test.macro({
  title: (title = '') => `${title} is refused at its line and column`,
  exec: (t, from: string, to: string, column: number, message: RegExp) => {
    const {text, line} = edited(from, to);
    const error = t.throws(() => parseRecipe(text, 'my.yaml'), {instanceOf: ImageError});
    t.is(error?.code, 'recipe-invalid');
    t.true(error?.message.startsWith(`my.yaml:${line}:${column}: `), error?.message);
    t.regex(error?.message ?? '', message);
  },
});

test('an unknown field', wrong, 'sources:\n', 'colour: red\nsources:\n', 1, /colour is not a field/);
test(
  'an unknown field of a step',
  wrong,
  '{type: files, source: files,',
  '{type: files, mode: 7, source: files,',
  21,
  /mode/,
);
test('a number for a package', wrong, '    - binutils', '    - 7', 7, /build\.tools\.0 must be string/);
test('a field given twice', wrong, 'name: hawser\n', 'name: hawser\nname: other\n', 1, /unique/);
test('a package that apt would remove', wrong, '    - binutils', '    - binutils-', 7, /build\.tools\.0/);
test('a module with a path', wrong, '      dm-verity,', '      drivers/md/dm-verity,', 7, /initrdModules\.0/);
test('a version with a letter', wrong, 'version: 0.1.0', 'version: 0.1.x', 1, /version/);
test('a removal outside /usr', wrong, '    - usr/include/**', '    - etc/**', 7, /build\.remove/);
test(
  'a removal that climbs out',
  wrong,
  '    - usr/include/**',
  '    - usr/../../home/**',
  7,
  /build\.remove/,
);
test(
  'a move out of the tree',
  wrong,
  '    usr/lib/dracut/modules.d/30ignition/ignition:',
  '    ../x:',
  5,
  /build\.move/,
);
test('a unit folder outside', wrong, '    boot-complete.target.requires:', '    ../x.target:', 5, /enable/);
test('a unit of no kind', wrong, '    - apt-daily.timer', '    - apt-daily', 7, /mask/);
test(
  'a step of no type',
  wrong,
  '{type: files, source: files,',
  '{type: magic, source: files,',
  8,
  /steps\.0/,
);

test('a name of two extensions is refused at the second', t => {
  const text = recipe.replace(
    'export:\n',
    'sysexts:\n  - {name: debug, packages: [strace]}\n  - {name: debug, packages: [ltrace]}\nexport:\n',
  );
  const line = text.split('\n').indexOf('sysexts:') + 3;
  const error = t.throws(() => parseRecipe(text, 'my.yaml'), {instanceOf: ImageError});
  t.is(error?.message, `my.yaml:${line}:6: sysexts.1.name debug is the name of another extension`);
});
const emptySysext = 'sysexts: [{name: debug, units: [x.service]}]\n';
test(
  'an extension of nothing',
  wrong,
  'export:\n',
  `${emptySysext}export:\n`,
  12,
  /neither packages nor files/,
);
const climbingSysext = 'sysexts: [{name: ../debug, packages: [strace]}]\n';
test(
  'an extension with a path for a name',
  wrong,
  'export:\n',
  `${climbingSysext}export:\n`,
  12,
  /sysexts\.0/,
);

test('a missing field is reported at what should hold it', t => {
  const text = recipe.replace('  kernel: linux-image-amd64\n', '');
  const line = text.split('\n').indexOf('build:') + 1;
  const error = t.throws(() => parseRecipe(text, 'my.yaml'), {instanceOf: ImageError});
  t.true(error?.message.startsWith(`my.yaml:${line}:1: build `), error?.message);
  t.regex(error?.message ?? '', /kernel/);
});

test('broken YAML is reported once, with its place', t => {
  const error = t.throws(() => parseRecipe('schema: 1\nname: [', 'my.yaml'), {instanceOf: ImageError});
  t.regex(error?.message ?? '', /^my\.yaml:2:\d+: /);
  t.notRegex(error?.message ?? '', /at line/);
});

for (const text of ['', '[]', 'null', '# nothing']) {
  test(`${JSON.stringify(text)} is no recipe`, t => {
    t.is(t.throws(() => parseRecipe(text, 'my.yaml'), {instanceOf: ImageError})?.code, 'recipe-invalid');
  });
}
