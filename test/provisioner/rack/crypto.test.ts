import test from 'ava';
import {
  fingerprintOf,
  isSigned,
  makeBootKeys,
  openSealed,
  permitContext,
  seal,
  signRequest,
  type SignedRequest,
} from '../../../services/common/rack-crypto.ts';

const request: SignedRequest = {method: 'POST', path: '/v1/rack/report', sequence: 1, body: '{"schema":1}'};
const context = permitContext('6f0c2d4e-0000-4000-8000-000000000001', 'AAAAAAAAAAAAAAAAAAAAAA');

test('the fingerprint is over both keys and fit to be read aloud', t => {
  const known = {x25519: 'A'.repeat(43), ed25519: 'A'.repeat(43)};
  t.is(fingerprintOf(known), fingerprintOf({...known}));
  t.regex(fingerprintOf(known), /^[0-9a-f]{4}(?:-[0-9a-f]{4}){7}$/);
  const [one, other] = [makeBootKeys().keys, makeBootKeys().keys];
  const all = [one, other, {...one, ed25519: other.ed25519}, {...one, x25519: other.x25519}].map(
    fingerprintOf,
  );
  t.is(new Set(all).size, 4);
});

test('a signature holds for one method, path, number and body, under one key', t => {
  const own = makeBootKeys();
  const signature = signRequest(own.ed25519, request);
  t.true(isSigned(own.keys.ed25519, request, signature));
  const changed: SignedRequest[] = [
    {...request, method: 'GET'},
    {...request, path: '/v1/rack/report?'},
    {...request, sequence: 2},
    {...request, body: '{"schema":2}'},
  ];
  for (const each of changed) t.false(isSigned(own.keys.ed25519, each, signature));
  t.false(isSigned(makeBootKeys().keys.ed25519, request, signature));
  for (const hostile of ['', 'AAAA', '====', signature.slice(1)])
    t.false(isSigned(own.keys.ed25519, request, hostile));
  t.false(isSigned('not a key', request, signature));
});

test('a sealed message opens for its own key and its own purpose only', t => {
  const own = makeBootKeys();
  const sealed = seal(own.keys.x25519, 'a permit', context);
  t.is(openSealed(own, sealed, context), 'a permit');
  t.throws(() => openSealed(makeBootKeys(), sealed, context));
  t.throws(() => openSealed(own, sealed, permitContext(context.fields[0] ?? '', 'BAAAAAAAAAAAAAAAAAAAAA')));
  t.throws(() => openSealed(own, sealed, {...context, purpose: 'config'}));
  const flipped = Buffer.from(sealed.ciphertext, 'base64url');
  flipped[0] = (flipped[0] ?? 0) ^ 1;
  t.throws(() => openSealed(own, {...sealed, ciphertext: flipped.toString('base64url')}, context));
  t.throws(() => openSealed(own, {...sealed, ciphertext: 'AAAA'}, context));
  t.throws(() => seal('not a key', 'a permit', context));
});

test('no two sealed messages share key or nonce', t => {
  const own = makeBootKeys();
  const many = Array.from({length: 50}, () => seal(own.keys.x25519, 'the same', context));
  t.is(new Set(many.map(each => each.ephemeral)).size, 50);
  t.is(new Set(many.map(each => each.ciphertext)).size, 50);
});

test('a key of small order is refused', t => {
  t.throws(() => seal('A'.repeat(43), 'a permit', context));
});
