import test from 'ava';
import * as fc from 'fast-check';
import {guidFromBytes} from '../../../services/common/formats/guid.ts';
import {
  efiTime,
  encodeVariableUpdate,
  secureBootVariables,
  signedDataOf,
  variablePayload,
} from '../../../image-build/keys/authenticated-variable.ts';
import {KeysError} from '../../../image-build/keys/errors.ts';
import {encodeSignatureLists} from '../../../image-build/keys/signature-list.ts';

const ZEROS = '00'.repeat(12);
const PKCS7_TYPE = '9dd2af4adf68ee498aa9347d375665a7';
const OWNER = '11111111-2222-3333-4444-555555555555';

test('a time is written as UEFI writes it, in UTC and to the second', t => {
  const bytes = efiTime(new Date('2026-11-23T04:05:06.789Z'));
  t.is(Buffer.from(bytes).toString('hex'), 'ea070b17040506' + '00'.repeat(9));
  t.is(t.throws(() => efiTime(new Date(Number.NaN)), {instanceOf: KeysError}).code, 'bad-time');
});

test('each certificate stands in a list of its own, after its owner', t => {
  const certificates = fc.array(fc.uint8Array({minLength: 1, maxLength: 900}), {maxLength: 4});
  fc.assert(
    fc.property(certificates, list => {
      const bytes = encodeSignatureLists(OWNER, list);
      const view = new DataView(bytes.buffer);
      const read: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += view.getUint32(at + 16, true)) {
        t.is(guidFromBytes(bytes, at), 'a5c059a1-94e4-4aa7-87b5-ab155c2bf072');
        t.is(view.getUint32(at + 20, true), 0);
        t.is(view.getUint32(at + 16, true), 28 + view.getUint32(at + 24, true));
        t.is(guidFromBytes(bytes, at + 28), OWNER);
        read.push(bytes.slice(at + 44, at + view.getUint32(at + 16, true)));
      }
      t.deepEqual(read, list);
    }),
  );
});

test('what is signed is name, vendor, attributes, time and content, without anything between', t => {
  const payload = variablePayload(secureBootVariables.db, new Date(0), new Uint8Array([7]));
  t.is(
    Buffer.from(payload).toString('hex'),
    ['64006200', 'cbb219d73a3d9645a3bcdad00e67656f', '27000000', 'b2070101', ZEROS, '07'].join(''),
  );
});

test('an update is time, certificate header, signature and content', t => {
  const update = encodeVariableUpdate(new Date(0), new Uint8Array([1, 2, 3]), new Uint8Array([9, 9]));
  t.is(
    Buffer.from(update).toString('hex'),
    ['b2070101', ZEROS, '1b000000', '0002', 'f10e', PKCS7_TYPE, '010203', '0909'].join(''),
  );
});

const SIGNED_DATA_OID = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];

function der(tag: number, content: readonly number[]): number[] {
  const length = content.length < 128 ? [content.length] : [0x82, content.length >> 8, content.length & 255];
  return [tag, ...length, ...content];
}

test('the wrapper around the signature is taken off, and nothing else', t => {
  fc.assert(
    fc.property(fc.array(fc.nat(255), {maxLength: 600}), content => {
      const signedData = der(0x30, content);
      const wrapped = der(0x30, [...SIGNED_DATA_OID, ...der(0xa0, signedData)]);
      t.deepEqual([...signedDataOf(new Uint8Array(wrapped))], signedData);
    }),
  );
});

const good = der(0x30, [...SIGNED_DATA_OID, ...der(0xa0, der(0x30, [1, 2, 3]))]);
for (const [name, bytes] of [
  ['nothing', []],
  ['a bare SignedData', der(0x30, [2, 1, 1])],
  ['bytes after the end', [...good, 0]],
  ['a signature cut off', good.slice(0, -1)],
  ['an indefinite length', [0x30, 0x80, ...good.slice(2)]],
  ['a length of five bytes', [0x30, 0x85, 0, 0, 0, 0, 20, ...good.slice(2)]],
] as const) {
  test(`${name} in place of a signature is refused`, t => {
    const error = t.throws(() => signedDataOf(new Uint8Array(bytes)), {instanceOf: KeysError});
    t.is(error.code, 'bad-signed-data');
  });
}
