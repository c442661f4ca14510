import {readFile} from 'node:fs/promises';
import test from 'ava';
import * as fc from 'fast-check';
import {field, parseDeb822, streamDeb822} from '../../../image-build/contents/deb822.ts';
import {parseDependencies} from '../../../image-build/contents/dependencies.ts';
import {ContentsError} from '../../../image-build/contents/errors.ts';

const EXAMPLE = `# a comment
Package: bash
Version: 5.2.37-2
Description: GNU Bourne Again SHell
 Bash is an sh-compatible command language interpreter.
 .
  indented
Conffiles:
 /etc/skel/.bashrc 1f98b8f3f3c8f8927eca945d59dcc1c6
 \t
Package: zsh
`;

test('fields, continuation lines, comments and paragraphs are told apart', t => {
  const [bash, zsh, ...rest] = parseDeb822(EXAMPLE);
  t.deepEqual(
    [...(bash ?? [])],
    [
      ['Package', 'bash'],
      ['Version', '5.2.37-2'],
      [
        'Description',
        'GNU Bourne Again SHell\nBash is an sh-compatible command language interpreter.\n.\n indented',
      ],
      ['Conffiles', '\n/etc/skel/.bashrc 1f98b8f3f3c8f8927eca945d59dcc1c6'],
    ],
  );
  t.deepEqual([...(zsh ?? [])], [['Package', 'zsh']]);
  t.is(rest.length, 0);
});

test('field names are found without regard to case', t => {
  const [stanza] = parseDeb822('SHA256: abc\n');
  t.is(field(stanza ?? new Map(), 'sha256'), 'abc');
  t.is(field(stanza ?? new Map(), 'Size'), undefined);
});

for (const [name, text, line] of [
  ['a line without a colon', 'Package: a\nnonsense\n', 2],
  ['a continuation before any field', ' x\n', 1],
  ['a continuation after an empty line', 'A: b\n\n x\n', 3],
  ['a repeated field', 'A: b\na: c\n', 2],
  ['a field name with a blank', 'A b: c\n', 1],
  ['an empty field name', ': c\n', 1],
  ['a field name that begins with a dash', '-----BEGIN PGP: x\n', 1],
] as const) {
  test(`${name} is refused with its line number`, t => {
    const error = t.throws(() => parseDeb822(text), {instanceOf: ContentsError});
    t.is(error.code, 'bad-deb822');
    t.is(error.context['line'], line);
  });
}

const name = fc.stringMatching(/^[A-Z][A-Za-z0-9-]{0,12}$/);
const line = fc.stringMatching(/^[!-~]([ -~]{0,30}[!-~])?$/);
const stanza = fc
  .uniqueArray(fc.tuple(name, fc.array(line, {minLength: 1, maxLength: 4})), {
    selector: ([key]) => key.toLowerCase(),
    minLength: 1,
    maxLength: 5,
  })
  .map(pairs => new Map(pairs.map(([key, lines]) => [key, lines.join('\n')])));

function render(stanzas: readonly ReadonlyMap<string, string>[]): string {
  return stanzas
    .map(one => [...one].map(([key, value]) => `${key}: ${value.replaceAll('\n', '\n ')}\n`).join(''))
    .join('\n');
}

test('what is written is what is read', t => {
  fc.assert(
    fc.property(fc.array(stanza, {maxLength: 4}), stanzas =>
      t.deepEqual(parseDeb822(render(stanzas)), stanzas),
    ),
  );
});

test('a stream cut anywhere gives the same paragraphs as the whole text', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(stanza, {maxLength: 4}),
      fc.integer({min: 1, max: 40}),
      async (stanzas, size) => {
        const text = render(stanzas);
        const pieces = Array.from({length: Math.ceil(text.length / size)}, (_, i) =>
          text.slice(i * size, (i + 1) * size),
        );
        const read: ReadonlyMap<string, string>[] = [];
        for await (const one of streamDeb822(pieces)) read.push(one);
        t.deepEqual(read, stanzas);
      },
    ),
  );
});

test("dpkg's own database is read, and every dependency in it is understood", async t => {
  const status = await readFile('/var/lib/dpkg/status', 'utf8').catch(() => undefined);
  if (status === undefined) {
    t.log('SKIPPED: this machine has no dpkg database');
    t.pass();
    return;
  }
  const stanzas = parseDeb822(status);
  t.is(stanzas.length, [...status.matchAll(/^Package: /gm)].length);
  for (const one of stanzas) {
    for (const key of [
      'Depends',
      'Pre-Depends',
      'Recommends',
      'Provides',
      'Conflicts',
      'Breaks',
      'Replaces',
    ]) {
      parseDependencies(one.get(key) ?? '');
    }
  }
});

test('alternatives, versions, qualifiers, architectures and profiles are read', t => {
  t.deepEqual(
    parseDependencies('libc6 (>= 2.38), default-mta | mail-transport-agent, python3:any (<< 3.14~), '),
    [
      [{name: 'libc6', version: {relation: '>=', bound: '2.38'}}],
      [{name: 'default-mta'}, {name: 'mail-transport-agent'}],
      [{name: 'python3', qualifier: 'any', version: {relation: '<<', bound: '3.14~'}}],
    ],
  );
  t.deepEqual(parseDependencies('gcc-13(<1) [amd64 !i386] <!nocheck> <cross>'), [
    [
      {
        name: 'gcc-13',
        version: {relation: '<=', bound: '1'},
        architectures: ['amd64', '!i386'],
        profiles: ['!nocheck', 'cross'],
      },
    ],
  ]);
  t.deepEqual(parseDependencies(''), []);
});

for (const bad of ['a b', 'a (1.0)', 'a (>= )', 'a |', '(>= 1)', 'a (>= 1', 'a (=> 1)', '$(x)']) {
  test(`the relationship "${bad}" is refused`, t => {
    t.is(t.throws(() => parseDependencies(bad), {instanceOf: ContentsError}).code, 'bad-dependency');
  });
}
