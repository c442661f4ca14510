import test from 'ava';
import * as fc from 'fast-check';
import {
  encodeFields,
  grantMac,
  normalizeHostKey,
  requestMac,
  sameMac,
} from '../../../services/common/enrolment-mac.ts';
import {deriveToken, isAuthentic} from '../../../services/provisioner/enrolment/token.ts';

const KEY = Uint8Array.from({length: 32}, (_, index) => index);
const MACHINE = '11111111-2222-3333-4444-555555555555';

test('token and MAC are the bytes that an independent implementation of RFC 5869 and RFC 2104 computes', t => {
  const token = deriveToken(KEY, MACHINE, 7);
  t.is(token, 'RTBn-xptusznp5lKeEBAdvPrY6BlM90klHJEd7S0-Ro');
  t.is(
    requestMac(token, {machine: MACHINE, generation: 7, csr: 'CSR', sshHostKey: 'ssh-ed25519 AAAA'}),
    'c5126cb65a261b46ac9b96d8d34fc9ff896a23f56b4b6f80fb7f2129f9249e10',
  );
});

test('a token differs by key, machine and generation, and is the same when derived again', t => {
  const token = deriveToken(KEY, MACHINE, 1);
  t.is(deriveToken(KEY, MACHINE, 1), token);
  t.not(deriveToken(KEY, MACHINE, 2), token);
  t.not(deriveToken(KEY, MACHINE.replace('5', '6'), 1), token);
  t.not(
    deriveToken(
      KEY.map(byte => byte ^ 1),
      MACHINE,
      1,
    ),
    token,
  );
});

test('no two lists of fields encode to the same bytes', t => {
  const fields = fc.array(fc.string({unit: 'binary', maxLength: 6}), {minLength: 1, maxLength: 4});
  fc.assert(
    fc.property(fields, fields, (left, right) => {
      const same = JSON.stringify(left) === JSON.stringify(right);
      const [first = '', ...more] = left;
      const [other = '', ...others] = right;
      t.is(encodeFields(first, more).equals(encodeFields(other, others)), same);
    }),
  );
  t.notDeepEqual(encodeFields('p', ['ab', 'c']), encodeFields('p', ['a', 'bc']));
});

test('a request with any one field changed is not authentic', t => {
  const token = deriveToken(KEY, MACHINE, 1);
  const base = {machine: MACHINE, generation: 1, csr: 'csr', sshHostKey: 'key'};
  const request = {...base, mac: requestMac(token, base)};
  t.true(isAuthentic(token, request));
  t.false(isAuthentic(deriveToken(KEY, MACHINE, 2), request));
  fc.assert(
    fc.property(fc.constantFrom('machine', 'csr', 'sshHostKey', 'mac'), fc.string(), (field, value) => {
      fc.pre(request[field] !== value);
      t.false(isAuthentic(token, {...request, [field]: value}));
    }),
  );
  t.false(isAuthentic(token, {...request, generation: 2}));
});

test('the MAC of a request never passes as the MAC of a grant', t => {
  const token = deriveToken(KEY, MACHINE, 1);
  const shared = {machine: MACHINE, generation: 1};
  const request = requestMac(token, {...shared, csr: 'a', sshHostKey: 'b'});
  t.false(sameMac(request, grantMac(token, {...shared, certificate: 'a', ca: 'b', fleetCa: ''})));
});

test('a host key is compared without options, comment and spacing', t => {
  t.is(normalizeHostKey('ssh-ed25519 AAAA root@host\n'), 'ssh-ed25519 AAAA');
  t.is(normalizeHostKey('  ssh-ed25519  AAAA'), 'ssh-ed25519 AAAA');
  for (const wrong of ['', 'AAAA', 'ssh-ed25519', 'ssh-ed25519 AA!A', 'command="x" ssh-ed25519 AAAA']) {
    t.is(normalizeHostKey(wrong), undefined, wrong);
  }
});
