/** The README tells the truth: its example is valid, its table names the fields that there are. */
import {readFile} from 'node:fs/promises';
import test from 'ava';
import {variants} from '../../../services/provisioner/config/butane-schema.ts';
import {snakeCase} from '../../../services/provisioner/config/naming.ts';
import {translate} from '../../../services/provisioner/config/translate.ts';

const readme = await readFile(
  new URL('../../../services/provisioner/config/README.md', import.meta.url),
  'utf8',
);

test('every YAML example of the README is accepted without a warning', t => {
  const examples = [...readme.matchAll(/```yaml\n([\s\S]*?)```/gu)].map(match => match[1] ?? '');
  t.true(examples.length > 0);
  for (const example of examples) t.deepEqual(translate(example, {fileName: 'README.md'}).report, []);
});

test('the table of fields names exactly the fields of variant hawser', t => {
  const named = [...readme.matchAll(/^\| `(\w+)(?:\.\w+)?` \|/gmu)].map(match => match[1] ?? '');
  const known = Object.keys(variants.hawser.schema.properties).map(snakeCase);
  t.deepEqual([...new Set(named)].sort(), known.sort());
});

test('the problems shown in the README are the ones that are printed', t => {
  const [, yaml = '', problems = ''] =
    /```yml\n([\s\S]*?)```[\s\S]*?```text\n([\s\S]*?)```/u.exec(readme) ?? [];
  const shown = translate(yaml, {fileName: 'web.yaml'}).report.map(
    one => `${one.file}:${one.line}:${one.column}: ${one.severity}: ${one.message}`,
  );
  t.deepEqual(shown, problems.trimEnd().split('\n'));
});
