/** Hostile and odd text: nothing throws, nothing runs away. */
import test from 'ava';
import * as fc from 'fast-check';
import {translate} from '../../../services/provisioner/config/translate.ts';
import {baseConfig, placesOf} from './arbitraries.ts';
import {problemsOf} from './support.ts';

const HEAD = 'variant: flatcar\nversion: 1.0.0\n';

test('aliases that expand to a huge document are refused in no time', t => {
  const levels = Array.from(
    {length: 30},
    (_, i) => `a${i}: &a${i} [${i === 0 ? 'x' : `*a${i - 1}, *a${i - 1}`}]`,
  );
  const started = performance.now();
  const problems = problemsOf(`${HEAD}${levels.join('\n')}\n`);
  t.deepEqual(problems, ['1:1: error: the aliases of this file expand to more than 32 MiB']);
  t.true(performance.now() - started < 2000);
});

test('merges that expand to a huge document are refused too', t => {
  const levels = Array.from(
    {length: 30},
    (_, i) => `a${i}: &a${i} {l: ${i === 0 ? 'x' : `[*a${i - 1}, *a${i - 1}]`}, <<: {m: 1}}`,
  );
  t.deepEqual(problemsOf(`${HEAD}${levels.join('\n')}\n`), [
    '1:1: error: the aliases of this file expand to more than 32 MiB',
  ]);
});

test('an alias cannot contain itself', t => {
  t.true(
    problemsOf(`${HEAD}storage: &s {files: *s}\n`).includes(
      '3:21: error: no anchor "&s" comes before this alias',
    ),
  );
});

test('very deep nesting is a problem of the file, not a crash', t => {
  const problems = problemsOf(`${HEAD}storage: ${'['.repeat(200_000)}`);
  t.is(problems.length > 0, true);
});

test('a file of more than 8 MiB is refused', t => {
  t.deepEqual(problemsOf(`${HEAD}#${'x'.repeat(8 * 1024 * 1024)}`), [
    '1:1: error: the file is larger than 8 MiB',
  ]);
});

test('a problem inside an anchor is reported once, where it is written', t => {
  const text = `${HEAD}storage:\n  files:\n    - &f {path: /etc/a, mod: 1}\n    - {<<: *f, path: /etc/b}\n    - {<<: *f, path: /etc/c}\n`;
  t.deepEqual(problemsOf(text), ['5:25: error: unknown field "mod" (did you mean "mode"?)']);
});

test('a key of the mapping itself wins over a merged one, the first merged one over later ones', t => {
  const text = `${HEAD}storage:\n  links:\n    - {path: /a, target: own, <<: [{target: first, hard: no}, {target: second, overwrite: on}]}\n`;
  t.deepEqual(translate(text, {fileName: 'x'}).ignition?.storage?.links, [
    {path: '/a', overwrite: true, target: 'own', hard: false},
  ]);
});

test('JSON with tabs and escapes is read as JSON', t => {
  const text =
    '{\n\t"ignition":{"version":"3.2.0"},\n\t"storage":{"links":[{"path":"\\/a","target":"\\ud83d\\ude00"}]}}';
  const result = translate(text, {fileName: 'x'});
  t.deepEqual(result.report, []);
  t.is(result.ignition?.ignition.version, '3.3.0');
  t.is(result.ignition?.storage?.links?.[0]?.target, '😀');
});

test('any text at all gives problems or a config, never an exception', t => {
  const yamlish = fc.string({
    unit: fc.constantFrom(
      ...'ab:-[]{}&*#|>!%"\'\n \t,?<~0'.split(''),
      'variant: flatcar\n',
      'storage:',
      '<<: ',
    ),
    maxLength: 60,
  });
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({unit: 'binary'}),
        yamlish,
        yamlish.map(text => HEAD + text),
      ),
      text => {
        const result = translate(text, {fileName: 'x'});
        t.true(result.ignition !== undefined || result.report.length > 0);
      },
    ),
    {numRuns: 400},
  );
});

test('any value in place of any part of a valid config gives problems or a config, never an exception', t => {
  const values = fc.oneof(
    fc.anything({maxDepth: 2}),
    fc.constantFrom('', '/', -1, null, [], {}, [null], [[]], [{}]),
  );
  fc.assert(
    fc.property(baseConfig, fc.nat(), values, (base, pick, value) => {
      const config: Record<string, unknown> = {variant: 'flatcar', version: '1.0.0', ...base};
      const places = placesOf(config);
      const place = places[pick % places.length];
      if (place !== undefined) Reflect.set(place.owner, place.field, value);
      const result = translate(jsonText(config), {fileName: 'x'});
      t.true(result.ignition !== undefined || result.report.length > 0);
    }),
    {numRuns: 150},
  );
});

function jsonText(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? String(one) : one));
}
