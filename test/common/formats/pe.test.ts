import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import * as fc from 'fast-check';
import {FormatError, type FormatErrorCode} from '../../../services/common/formats/errors.ts';
import {
  attachSignature,
  authenticodeDigest,
  canonicalUnsigned,
  detachSignature,
  signatureOf,
} from '../../../image-build/formats/pe-signature.ts';
import {parsePe} from '../../../services/common/formats/pe.ts';
import {readUki, ukiText} from '../../../services/common/formats/uki.ts';
import {
  buildPe,
  certificateEntry,
  certificateTable,
  peOffsets,
  sectionTable,
  type Section,
} from '../../image-build/formats/pe-builder.ts';
import {haveTools, run, temporaryFolder} from '../../image-build/formats/tools.ts';

const encode = (text: string) => new TextEncoder().encode(text);
const section = fc.record({
  name: fc.constantFrom('.text', '.data', '.linux', '.cmdline', '.osrel'),
  content: fc.uint8Array({minLength: 1, maxLength: 1200}),
});
const image = fc
  .tuple(fc.array(section, {minLength: 1, maxLength: 4}), fc.uint8Array({maxLength: 20}))
  .map(([sections, tail]) => buildPe(sections, tail));
const checksum = fc.uint8Array({minLength: 4, maxLength: 4});
const signature = fc.tuple(checksum, fc.uint8Array({maxLength: 200})).map(([sum, content]) => {
  return new Uint8Array([...sum, 0, 0, 0, 0, ...certificateTable(content)]);
});

test('a signature comes off and goes on again byte for byte', t => {
  fc.assert(
    fc.property(image, signature, (unsigned, added) => {
      const signed = attachSignature(unsigned, added);
      const detached = detachSignature(Buffer.from(signed));
      t.deepEqual(detached.unsigned, canonicalUnsigned(unsigned));
      t.deepEqual(detached.signature, added);
      t.deepEqual(attachSignature(detached.unsigned, detached.signature), signed);
    }),
  );
});

test('the digest is the same before and after signing, whatever the checksum says', t => {
  fc.assert(
    fc.property(image, signature, (unsigned, added) => {
      const digest = authenticodeDigest(parsePe(unsigned));
      t.is(authenticodeDigest(parsePe(attachSignature(unsigned, added))), digest);
    }),
  );
});

test('the digest changes with any byte that is covered', t => {
  fc.assert(
    fc.property(image, fc.nat(), fc.integer({min: 1, max: 255}), (unsigned, position, flip) => {
      const from = parsePe(unsigned).headersSize;
      if (unsigned.length === from) return;
      const changed = Uint8Array.from(unsigned);
      const at = from + (position % (unsigned.length - from));
      changed[at] = (changed[at] ?? 0) ^ flip;
      t.not(authenticodeDigest(parsePe(changed)), authenticodeDigest(parsePe(unsigned)));
    }),
  );
});

test('arbitrary bytes are refused with a typed error, never with another one', t => {
  const anything = fc.oneof(
    fc.uint8Array({maxLength: 600}),
    fc.tuple(image, fc.nat(), fc.uint8Array({minLength: 1, maxLength: 8})).map(([bytes, position, noise]) => {
      const changed = Uint8Array.from(bytes);
      changed.set(noise, position % (Math.min(changed.length, sectionTable + 80) - noise.length));
      return changed;
    }),
    fc.tuple(image, fc.nat()).map(([bytes, length]) => bytes.subarray(0, length % bytes.length)),
  );
  fc.assert(
    fc.property(anything, bytes => {
      try {
        const pe = parsePe(bytes);
        authenticodeDigest(pe);
      } catch (error) {
        return error instanceof FormatError;
      }
      return true;
    }),
    {numRuns: 500},
  );
  t.pass();
});

const TWO: Section[] = [
  {name: '.text', content: new Uint8Array(600).fill(1)},
  {name: '.data', content: new Uint8Array(100).fill(2)},
];
const hostile: [string, FormatErrorCode, (image: Uint8Array, view: DataView) => Uint8Array | void][] = [
  ['a text file', 'not-pe', () => encode('#!/bin/sh\n'.repeat(20))],
  ['a DOS program', 'not-pe', (_, view) => view.setUint32(0x3c, 0xfffffff0, true)],
  ['headers cut off', 'bad-pe-header', bytes => bytes.subarray(0, sectionTable + 10)],
  [
    'an unknown optional header',
    'bad-pe-header',
    (_, view) => view.setUint16(peOffsets.optional, 0x107, true),
  ],
  [
    'no room for a signature',
    'bad-pe-header',
    (_, view) => view.setUint32(peOffsets.directories - 4, 4, true),
  ],
  [
    'headers smaller than the section table',
    'bad-pe-header',
    (_, view) => view.setUint32(peOffsets.headersSize, 64, true),
  ],
  [
    'a section beyond the end',
    'bad-pe-section',
    (_, view) => view.setUint32(sectionTable + 16, 0x7ffffe00, true),
  ],
  ['a section cut off', 'bad-pe-section', bytes => bytes.subarray(0, bytes.length - 8)],
  [
    'sections that overlap',
    'bad-pe-section',
    (_, view) => view.setUint32(sectionTable + 40 + 20, 0x400, true),
  ],
  ['a section over the headers', 'bad-pe-section', (_, view) => view.setUint32(sectionTable + 20, 0, true)],
  [
    'a certificate table beyond the end',
    'bad-certificate-table',
    (_, view) => certificate(view, 0x10000, 64),
  ],
  ['a certificate table over a section', 'bad-certificate-table', (_, view) => certificate(view, 0x400, 64)],
  [
    'a certificate table with an offset and no size at the start',
    'bad-certificate-table',
    (_, view) => certificate(view, 8, 0),
  ],
  [
    'a certificate that is longer than its table',
    'bad-certificate-table',
    bytes => {
      const signed = attachSignature(
        bytes,
        new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, ...certificateTable(encode('x'))]),
      );
      new DataView(signed.buffer).setUint32(bytes.length, 4096, true);
      return signed;
    },
  ],
];
for (const [name, code, breakIt] of hostile) {
  test(`${name} is refused as ${code}`, t => {
    const bytes = buildPe(TWO);
    const broken = breakIt(bytes, new DataView(bytes.buffer)) ?? bytes;
    t.is(t.throws(() => parsePe(broken), {instanceOf: FormatError}).code, code);
  });
}

function certificate(view: DataView, offset: number, size: number): void {
  view.setUint32(certificateEntry, offset, true);
  view.setUint32(certificateEntry + 4, size, true);
}

test('only what fits is taken off or put on', t => {
  const added = new Uint8Array([1, 2, 3, 4, 0, 0, 0, 0, ...certificateTable(encode('signature'))]);
  const unsigned = buildPe(TWO);
  const signed = attachSignature(unsigned, added);
  const code = (work: () => unknown) => t.throws(work, {instanceOf: FormatError}).code;
  t.is(signatureOf(parsePe(unsigned)), undefined);
  t.is(
    code(() => detachSignature(unsigned)),
    'not-signed',
  );
  t.is(
    code(() => attachSignature(signed, added)),
    'already-signed',
  );
  t.is(
    code(() => attachSignature(unsigned, new Uint8Array(8))),
    'bad-certificate-table',
  );
  t.is(
    code(() => attachSignature(unsigned, added.subarray(0, 24))),
    'bad-certificate-table',
  );
  t.is(
    code(() => attachSignature(unsigned, added.subarray(8))),
    'bad-certificate-table',
  );
  t.is(
    code(() => detachSignature(new Uint8Array([...signed, 1, 2, 3, 4, 5, 6, 7, 8]))),
    'not-reattachable',
  );
});

const BOOT = '/usr/lib/systemd/boot/efi/systemd-bootx64.efi';
const STUB = '/usr/lib/systemd/boot/efi/linuxx64.efi.stub';

for (const path of [BOOT, STUB]) {
  test(`what sbsign signs (${path.split('/').at(-1)}) comes apart and together again, and sbverify accepts it`, async t => {
    const original = await readFile(path).catch(() => undefined);
    if (original === undefined) {
      t.log('SKIPPED: systemd-boot-efi is not installed');
      t.pass();
      return;
    }
    if (!haveTools(t, 'sbsign', 'sbverify', 'openssl')) return;
    const folder = await temporaryFolder(t);
    const [key, cert, signed] = ['key.pem', 'cert.pem', 'signed.efi'].map(name => join(folder, name)) as [
      string,
      string,
      string,
    ];
    run('openssl', [
      'req',
      '-new',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      key,
      '-out',
      cert,
      '-subj',
      '/CN=test',
    ]);
    run('sbsign', ['--key', key, '--cert', cert, '--output', signed, path]);
    const bySbsign = await readFile(signed);
    const {unsigned, signature: added} = detachSignature(bySbsign);
    t.deepEqual(unsigned, canonicalUnsigned(original));
    t.deepEqual(Buffer.from(attachSignature(original, added)), bySbsign);
    await writeFile(join(folder, 'again.efi'), attachSignature(unsigned, added));
    t.notThrows(() => run('sbverify', ['--cert', cert, join(folder, 'again.efi')]));
    // The signature holds the digest in plain: SpcIndirectDataContent, an OCTET STRING of 32 bytes.
    t.true(
      Buffer.from(added)
        .toString('hex')
        .includes(`0420${authenticodeDigest(parsePe(original))}`),
    );
  });
}

test('the sections of a unified kernel image are read, profile by profile', t => {
  const pe = parsePe(
    buildPe([
      {name: '.text', content: encode('stub')},
      {name: '.osrel', content: encode('ID=hawser\n\0\0')},
      {name: '.cmdline', content: encode('usrhash=1')},
      {name: '.linux', content: encode('kernel')},
      {name: '.profile', content: encode('ID=main')},
      {name: '.profile', content: encode('ID=reset')},
      {name: '.cmdline', content: encode('reset')},
    ]),
  );
  const uki = readUki(pe);
  t.deepEqual([...uki.base.keys()], ['.osrel', '.cmdline', '.linux']);
  t.is(ukiText(uki.base, '.osrel'), 'ID=hawser\n');
  t.is(ukiText(uki.base, '.uname'), undefined);
  t.deepEqual(
    uki.profiles.map(one => [ukiText(one, '.profile'), ukiText(one, '.cmdline')]),
    [
      ['ID=main', undefined],
      ['ID=reset', 'reset'],
    ],
  );
});

test('a PE image without a kernel, or with two command lines, is no unified kernel image', t => {
  t.is(t.throws(() => readUki(parsePe(buildPe(TWO))), {instanceOf: FormatError}).code, 'not-uki');
  const twice = buildPe(['.linux', '.cmdline', '.cmdline'].map(name => ({name, content: encode('x')})));
  t.is(t.throws(() => readUki(parsePe(twice)), {instanceOf: FormatError}).code, 'not-uki');
});
