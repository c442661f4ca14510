import {spawnSync} from 'node:child_process';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import Schema from 'typebox/schema';
import {writeCycloneDx} from '../../../image-build/contents/cyclonedx.ts';
import {parseDeb822} from '../../../image-build/contents/deb822.ts';
import type {DescribedImage} from '../../../image-build/contents/document.ts';
import {ContentsError} from '../../../image-build/contents/errors.ts';
import {
  buildInventory,
  type InventoryInput,
  type LockedDeb,
} from '../../../image-build/contents/inventory.ts';
import {debPurl, genericPurl, npmPurl} from '../../../image-build/contents/purl.ts';
import {writeSpdx} from '../../../image-build/contents/spdx.ts';

const deb = (name: string, version: string, more: Partial<LockedDeb> = {}): LockedDeb => ({
  name,
  version,
  architecture: 'amd64',
  sha256: 'ab'.repeat(32),
  size: 1000,
  ...more,
});

const STATUS = `Package: bash
Status: install ok installed
Maintainer: Matthias Klose <doko@debian.org>
Version: 5.2.37-2+b10
Pre-Depends: libc6 (>= 2.36)
Depends: base-files (>= 2.1.12), debianutils | coreutils, awk
Description: GNU Bourne Again SHell
 Bash is an sh-compatible command language interpreter.
Homepage: http://tiswww.case.edu/php/chet/bash/bashtop.html

Package: libc6
Status: install ok installed
Version: 2.41-12
Depends: libgcc-s1 (>= 99)
Maintainer: "GNU Libc (Maintainers)" <glibc@lists.debian.org>

Package: base-files
Status: install ok installed
Version: 13.8
Maintainer: Nobody

Package: coreutils
Status: install ok installed
Version: 9.7-3

Package: mawk
Status: install ok installed
Version: 1.3.4
Provides: awk (= 2), bash-completion-thing
Depends: libc6

Package: gone
Status: deinstall ok config-files
Version: 1
`;

const COPYRIGHT = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: somebody
License: GPL-3+ or Artistic

Files: lib/*
License: own-terms
 Do what you like,
 .
 but say so.

License: GPL-3+
 see common-licenses
`;

const input: InventoryInput = {
  distribution: 'trixie',
  debs: [
    deb('mawk', '1.3.4'),
    deb('bash', '5.2.37-2+b10', {source: 'bash', sourceVersion: '5.2.37-2'}),
    deb('libc6', '2.41-12', {source: 'glibc'}),
    deb('base-files', '13.8'),
    deb('coreutils', '9.7-3'),
    deb('linux-image-6.12.117+deb13-amd64', '1:6.12.117-1~x', {source: 'linux'}),
  ],
  status: parseDeb822(STATUS),
  npm: [
    {name: '@scope/tool', version: '1.0.0', integrity: `sha512-${Buffer.alloc(64, 7).toString('base64')}`},
  ],
  own: [
    {
      name: 'update-agent',
      version: '0.1.0',
      sha256: 'cd'.repeat(32),
      license: 'Apache-2.0',
      npm: ['@scope/tool'],
    },
    {name: 'sysext-shell', version: '0.1.0', debs: ['mawk', 'bash']},
  ],
  copyright: new Map([
    ['bash', COPYRIGHT],
    ['mawk', 'just prose'],
  ]),
};
const image: DescribedImage = {
  name: 'hawser',
  version: '0.1.0',
  epoch: 1795392000,
  rootHash: 'ef'.repeat(32),
  components: buildInventory(input),
};

test('the lock and the package database become one list with real dependency edges', t => {
  const edges = Object.fromEntries(image.components.map(one => [one.key, one.dependsOn]));
  t.deepEqual(edges, {
    'deb:base-files:amd64': [],
    // The first alternative that is there; a virtual package leads to the one that provides it.
    'deb:bash:amd64': ['deb:base-files:amd64', 'deb:coreutils:amd64', 'deb:libc6:amd64', 'deb:mawk:amd64'],
    'deb:coreutils:amd64': [],
    'deb:libc6:amd64': [],
    'deb:linux-image-6.12.117+deb13-amd64:amd64': [],
    'deb:mawk:amd64': ['deb:libc6:amd64'],
    'npm:@scope/tool@1.0.0': [],
    'own:sysext-shell': ['deb:bash:amd64', 'deb:mawk:amd64'],
    'own:update-agent': ['npm:@scope/tool@1.0.0'],
  });
  const bash = image.components.find(one => one.name === 'bash');
  t.deepEqual(bash?.source, {name: 'bash', version: '5.2.37-2'});
  t.regex(
    bash?.licences?.expression ?? '',
    /^\(GPL-3\.0-or-later OR Artistic-1\.0-Perl\) AND LicenseRef-debian-own-terms-[0-9a-f]{8}$/,
  );
  t.is(bash?.licences?.texts[0]?.text, 'Do what you like,\n\nbut say so.');
  t.is(image.components.find(one => one.name === 'mawk')?.licences, undefined);
});

test('a package that is installed but not locked, or in another version, stops the build', t => {
  for (const debs of [
    input.debs.slice(1),
    input.debs.map(one => (one.name === 'mawk' ? deb('mawk', '9') : one)),
  ]) {
    const error = t.throws(() => buildInventory({...input, debs}), {instanceOf: ContentsError});
    t.is(error.code, 'bad-package');
    t.regex(error.message, /^mawk 1\.3\.4 is installed/);
  }
});

test('a package twice, a hash that is none, and an unknown package of a part are refused', t => {
  const code = (change: Partial<InventoryInput>) =>
    t.throws(() => buildInventory({...input, ...change}), {instanceOf: ContentsError}).code;
  t.is(code({debs: [...input.debs, deb('bash', '5.2.37-2+b10')]}), 'duplicate-package');
  t.is(code({npm: [{name: '@scope/tool', version: '1.0.0', integrity: 'sha1-AAAA'}]}), 'bad-package');
  t.is(code({npm: []}), 'bad-package');
  t.is(code({own: [{name: 'sysext-x', version: '1', debs: ['nowhere']}]}), 'bad-package');
});

async function cycloneDxCheck(): Promise<(value: unknown) => string[]> {
  const read = async (name: string): Promise<Record<string, unknown>> => {
    const path = join(import.meta.dirname, 'schemas', `${name}.schema.json`);
    return JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  };
  // The main schema refers to the other two by the names that they have in CycloneDX's own repository.
  const base = 'http://cyclonedx.org/schema/';
  const others = ['spdx', 'jsf-0.82'] as const;
  const context = Object.fromEntries(
    await Promise.all(
      others.map(async name => [
        `${base}${name}.SNAPSHOT.schema.json`,
        {...(await read(name)), $id: `${base}${name}.SNAPSHOT.schema.json`},
      ]),
    ),
  ) as Record<string, Record<string, unknown>>;
  const schema = await read('bom-1.6');
  return value => {
    const [ok, errors] = Schema.Errors(context, schema, value);
    return ok ? [] : errors.map(error => `${error.instancePath}: ${error.message}`);
  };
}

test('the CycloneDX document is valid by the official schema, and the schema can say no', async t => {
  const check = await cycloneDxCheck();
  const document = JSON.parse(writeCycloneDx(image)) as Record<string, unknown>;
  t.deepEqual(check(document), []);
  t.not(check({...document, serialNumber: 'urn:uuid:nonsense'}).length, 0);
  t.not(check({...document, components: [{name: 'without a type'}]}).length, 0);
  t.like(document, {
    metadata: {timestamp: '2026-11-23T00:00:00Z', component: {name: 'hawser', version: '0.1.0'}},
  });
});

test('every SPDX relationship and reference leads to something in the document', t => {
  interface Document {
    packages: {SPDXID: string; licenseDeclared: string}[];
    relationships: {spdxElementId: string; relationshipType: string; relatedSpdxElement: string}[];
    hasExtractedLicensingInfos: {licenseId: string}[];
  }
  const document = JSON.parse(writeSpdx(image, 'hawser-0.1.0')) as Document;
  const ids = document.packages.map(one => one.SPDXID);
  t.is(new Set(ids).size, image.components.length + 1);
  for (const id of ids) t.regex(id, /^SPDXRef-[A-Za-z0-9.-]+$/);
  for (const one of document.relationships) {
    t.true([...ids, 'SPDXRef-DOCUMENT'].includes(one.spdxElementId));
    t.true(ids.includes(one.relatedSpdxElement));
  }
  t.is(document.relationships.filter(one => one.relationshipType === 'DEPENDS_ON').length, 8);
  const used = new Set(
    document.packages.flatMap(one => one.licenseDeclared.match(/LicenseRef-[A-Za-z0-9.-]+/g) ?? []),
  );
  t.deepEqual(new Set(document.hasExtractedLicensingInfos.map(one => one.licenseId)), used);
});

test('the SPDX document is accepted by the SPDX tools', async t => {
  if (spawnSync('pyspdxtools', ['--help']).status !== 0) {
    t.log('SKIPPED: pyspdxtools is not installed (PyPI: spdx-tools)');
    t.pass();
    return;
  }
  const folder = await mkdtemp(join(tmpdir(), 'hawser-spdx-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  const file = join(folder, 'image.spdx.json');
  await writeFile(file, writeSpdx(image, 'hawser-0.1.0'));
  const result = spawnSync('pyspdxtools', ['-i', file, '--version', 'SPDX-2.3'], {encoding: 'utf8'});
  t.is(result.status, 0, result.stdout + result.stderr);
});

test('the order of the inputs changes no byte, the content changes the identity', t => {
  const turned: InventoryInput = {...input, debs: input.debs.toReversed(), status: input.status.toReversed()};
  const again = {...image, components: buildInventory(turned)};
  t.is(writeCycloneDx(again), writeCycloneDx(image));
  t.is(writeSpdx(again, 'x-1'), writeSpdx(image, 'x-1'));
  const serial = (text: string) => /"serialNumber": "(.*)"/.exec(text)?.[1];
  t.not(serial(writeCycloneDx({...image, version: '0.2.0'})), serial(writeCycloneDx(image)));
});

test('package URLs are escaped as the purl specification says', t => {
  t.is(
    debPurl('libstdc++6', '1:14.2.0-19~deb13+1', 'amd64', 'trixie'),
    'pkg:deb/debian/libstdc%2B%2B6@1:14.2.0-19~deb13%2B1?arch=amd64&distro=trixie',
  );
  t.is(npmPurl('@tufjs/models', '3.0.1'), 'pkg:npm/%40tufjs/models@3.0.1');
  t.is(genericPurl("it's (a) part", '1+2'), 'pkg:generic/it%27s%20%28a%29%20part@1%2B2');
});
