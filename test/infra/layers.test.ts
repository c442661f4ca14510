/** Every layer rule refuses: a small tree is written that breaks each rule once per file, and linted with the real rules. */
import {glob, mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join, normalize} from 'node:path';
import test from 'ava';
import {Type} from 'typebox';
import {clientLibraries} from '../../infra/ci/lint-rules.ts';
import {computing, partName, parts, purePackages, type Part} from '../../infra/ci/layers.ts';
import {exec} from '../../services/common/exec.ts';
import {parseJson} from '../../services/common/parse.ts';

const root = join(import.meta.dirname, '..', '..');
const binaries = join(root, 'node_modules', '.bin');

const Report = Type.Object({
  diagnostics: Type.Array(Type.Object({code: Type.String(), filename: Type.String(), help: Type.String()})),
});

/** What the rules say of a file with these imports, by file: the messages, sorted. */
async function lint(imports: Readonly<Record<string, readonly string[]>>): Promise<Map<string, string[]>> {
  const folder = await mkdtemp(join(tmpdir(), 'layers-'));
  try {
    await writeFile(
      join(folder, '.oxlintrc.ts'),
      `import {config} from ${JSON.stringify(join(root, 'infra/ci/lint-rules.ts'))};\n` +
        `export default {...config, categories: {}, options: {}};\n`,
    );
    for (const [file, names] of Object.entries(imports)) {
      await mkdir(dirname(join(folder, file)), {recursive: true});
      await writeFile(join(folder, file), names.map(name => `export * from '${name}';\n`).join(''));
    }
    const argv = [join(binaries, 'oxlint'), '--config=.oxlintrc.ts', '--format=json'];
    const env = {PATH: `${binaries}:/usr/bin:/bin`};
    // It ends with 1 when it has found something.
    const {stdout} = await exec(argv, {timeoutMs: 60_000, cwd: folder, env, okCodes: [0, 1]});
    const report = parseJson(Report, stdout, 'the report of oxlint');
    const found = new Map<string, string[]>();
    for (const {code, filename, help} of report.diagnostics) {
      if (code !== 'eslint(no-restricted-imports)') continue;
      found.set(filename, [...(found.get(filename) ?? []), help].sort());
    }
    return found;
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

/** A file that a pattern of `pure` covers. */
function example(part: Part, pattern: string): string {
  return `${part.folder}/${pattern.replace('*', 'anything')}`;
}

const anotherPart = /another part/;

test('a part that imports another part is refused, whatever the other; services/common and itself are free', async t => {
  const closed = parts.filter(part => part.imports === 'common');
  const others = parts.filter(part => partName(part) !== 'common');
  const found = await lint(
    Object.fromEntries(
      closed.flatMap(part => [
        ...others
          .filter(other => other !== part)
          .map(other => [`${part.folder}/to-${partName(other)}.ts`, [`../${partName(other)}/inside.ts`]]),
        [`${part.folder}/allowed.ts`, ['../../services/common/errors.ts', `./own.ts`, 'fastify']],
      ]),
    ),
  );
  for (const part of closed) {
    for (const other of others) {
      if (other === part) continue;
      const messages = found.get(`${part.folder}/to-${partName(other)}.ts`);
      t.regex(messages?.join() ?? 'nothing', anotherPart, `${part.folder} → ${other.folder}`);
    }
    t.is(found.get(`${part.folder}/allowed.ts`), undefined, part.folder);
  }
});

test('every file of a pure core is refused node:*, adapters and each client library', async t => {
  const wrong = [
    'node:fs/promises',
    'node:crypto',
    './adapters/disk.ts',
    '../adapters/disk.ts',
    ...clientLibraries(),
  ];
  const files = parts.flatMap(part =>
    [...part.pure, ...(part.conducting ?? [])].map(pattern => example(part, pattern)),
  );
  const found = await lint(
    Object.fromEntries(files.map(file => [file, [...wrong, ...purePackages, './own.ts']])),
  );
  t.true(files.length > 20);
  t.true(clientLibraries().includes('etcd3'));
  for (const file of files) t.is(found.get(file)?.length, wrong.length, file);
});

test('the files of a part that are not its pure core may use node:* and clients', async t => {
  const files = parts.flatMap(part => [
    `${part.folder}/adapters/disk.ts`,
    ...(part.notPure ?? []).map(pattern => example(part, pattern)),
  ]);
  const found = await lint(Object.fromEntries(files.map(file => [file, ['node:fs/promises', 'etcd3']])));
  t.deepEqual([...found], []);
});

test('in every part: nothing imports a main.ts, test/ or infra/, and programs and files go their one way', async t => {
  const wrong = ['./main.ts', '../../test/support/cli.ts', '../../infra/ci/run.ts', 'child_process', 'fs'];
  const files = parts.map(part => `${part.folder}/edge.ts`);
  const found = await lint(Object.fromEntries(files.map(file => [file, wrong])));
  for (const file of files) t.is(found.get(file)?.length, wrong.length, file);
});

test('services/cli composes: it may import every part', async t => {
  const names = parts.map(part => `../${partName(part)}/commands.ts`);
  t.deepEqual([...(await lint({'services/cli/server-part.ts': names}))], []);
});

/** Files of the repository that `patterns` of a part cover. */
async function filesOf(part: Part, patterns: readonly string[]): Promise<string[]> {
  const found = patterns.map(pattern => Array.fromAsync(glob(join(part.folder, pattern), {cwd: root})));
  return (await Promise.all(found)).flat();
}

/** The relative imports of a source that are still there at run time: those of types alone are erased. */
function importsOf(source: string): string[] {
  const statements = source.matchAll(/^(?:import|export)\s+(type\s)?[^;]*?from '(\.[^']+)';/gm);
  return [...statements].flatMap(([, type, path]) =>
    type === undefined && path !== undefined ? [path] : [],
  );
}

test('what a file of a pure core imports is pure as well, however far one follows', async t => {
  const pure = new Set<string>();
  for (const part of parts) {
    const outside = await filesOf(part, part.notPure ?? []);
    for (const file of await filesOf(part, part.pure)) if (!outside.includes(file)) pure.add(file);
  }
  t.true(pure.size > 100);
  const allowed = new Set([...pure, ...computing]);
  const wrong: string[] = [];
  for (const file of pure) {
    for (const path of importsOf(await readFile(join(root, file), 'utf8'))) {
      const target = normalize(join(dirname(file), path));
      if (!allowed.has(target)) wrong.push(`${file} imports ${target}`);
    }
  }
  t.deepEqual(wrong, [], 'name them in `pure` of infra/ci/layers.ts, or hand them in as arguments');
});

test('an import is seen whatever its form, and one of types alone is none', t => {
  const source = [
    "import {a} from './a.ts';",
    "import type {b} from './b.ts';",
    'import {',
    '  c,',
    "} from '../c.ts';",
    "export {d} from './d.ts';",
    "import {e} from 'typebox';",
  ];
  t.deepEqual(importsOf(source.join('\n')), ['./a.ts', '../c.ts', './d.ts']);
});
