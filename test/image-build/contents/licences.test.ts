import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {readCopyright} from '../../../image-build/contents/licences.ts';

const HEADER = 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n';
const file = (...synopses: string[]) =>
  `${HEADER}${synopses.map(one => `\nFiles: *\nLicense: ${one}\n`).join('')}`;

const table: [string, string][] = [
  ['GPL-2+', 'GPL-2.0-or-later'],
  ['Expat', 'MIT'],
  ['GPL-1+ or Artistic', 'GPL-1.0-or-later OR Artistic-1.0-Perl'],
  ['GPL-2 and Expat or Zlib', 'GPL-2.0-only AND MIT OR Zlib'],
  ['GPL-2+ or Expat, and ISC', '(GPL-2.0-or-later OR MIT) AND ISC'],
];
for (const [synopsis, expression] of table) {
  test(`the DEP-5 licence "${synopsis}" is ${expression} in SPDX`, t => {
    t.is(readCopyright(file(synopsis))?.expression, expression);
  });
}

test('several licences are all required, and alternatives among them stay together', t => {
  t.is(readCopyright(file('Expat', 'GPL-2 or ISC', 'Expat'))?.expression, '(GPL-2.0-only OR ISC) AND MIT');
});

test('an exception makes a licence of its own, with its text', t => {
  const licences = readCopyright(`${HEADER}\nFiles: *\nLicense: GPL-2+ with OpenSSL exception\n the terms\n`);
  t.regex(licences?.expression ?? '', /^LicenseRef-debian-GPL-2-with-OpenSSL-exception-[0-9a-f]{8}$/);
  t.is(licences?.texts[0]?.text, 'the terms');
});

test('one short name with two texts gives two references', t => {
  const [a, b] = ['one', 'two'].map(
    text => readCopyright(`${HEADER}\nFiles: *\nLicense: permissive\n ${text}\n`)?.expression,
  );
  t.not(a, b);
});

for (const [name, text] of [
  ['prose', 'This package was debianized by hand.\n\nIts licence is in COPYING.\n'],
  ['an empty file', ''],
  ['a file with a format and no licence', HEADER],
  ['a file that breaks the format', `${HEADER}\nFiles: *\nFiles: x\nLicense: Expat\n`],
] as const) {
  test(`${name} tells nothing about the licence, and is no error`, t => {
    t.is(readCopyright(text), undefined);
  });
}

test('every copyright file of this machine is read, and known licences are in the SPDX list', async t => {
  const schema = await readFile(join(import.meta.dirname, 'schemas', 'spdx.schema.json'), 'utf8');
  const list = new Set((JSON.parse(schema) as {enum: string[]}).enum);
  let read = 0;
  for (const name of await readdir('/usr/share/doc').catch(() => [])) {
    const text = await readFile(join('/usr/share/doc', name, 'copyright'), 'utf8').catch(() => undefined);
    const licences = text === undefined ? undefined : readCopyright(text);
    if (licences === undefined) continue;
    read += 1;
    const ids = licences.expression.replaceAll(/[()]/g, '').split(/ AND | OR /);
    t.deepEqual(
      ids.filter(id => !id.startsWith('LicenseRef-') && !list.has(id)),
      [],
      name,
    );
    t.true(
      ids.every(id => /^[A-Za-z0-9.-]+$/.test(id)),
      `${name}: ${licences.expression}`,
    );
  }
  if (read === 0) t.log('SKIPPED: this machine has no machine-readable copyright files');
  t.pass();
});
