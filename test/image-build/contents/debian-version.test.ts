import {spawnSync} from 'node:child_process';
import test from 'ava';
import * as fc from 'fast-check';
import {
  compareDebianVersions,
  parseDebianVersion,
  versionSatisfies,
} from '../../../image-build/contents/debian-version.ts';
import {ContentsError} from '../../../image-build/contents/errors.ts';

const part = fc.string({
  unit: fc.constantFrom('0', '1', '2', '9', 'a', 'Z', 'z', '.', '+', '~'),
  minLength: 1,
  maxLength: 7,
});
// dpkg refuses an upstream version that does not begin with a digit, so the oracle is only asked about those.
const version = fc
  .tuple(
    fc.option(fc.integer({min: 0, max: 3}), {nil: undefined}),
    fc.integer({min: 0, max: 99}),
    part,
    fc.option(part, {nil: undefined}),
  )
  .map(
    ([epoch, digits, rest, revision]) =>
      `${epoch === undefined ? '' : `${epoch}:`}${digits}${rest}${revision === undefined ? '' : `-${revision}`}`,
  );
const near = fc
  .tuple(version, part)
  .chain(([base, tail]) => fc.constantFrom(base, `${base}${tail}`, `${base}~${tail}`, `${base}+b1`));

function dpkgSays(a: string, relation: string, b: string): boolean {
  return spawnSync('dpkg', ['--compare-versions', a, relation, b]).status === 0;
}

const hasDpkg = spawnSync('dpkg', ['--version']).status === 0;

test('versions sort as dpkg sorts them', t => {
  if (!hasDpkg) {
    t.log('SKIPPED: dpkg is not installed, so there is no oracle');
    t.pass();
    return;
  }
  fc.assert(
    fc.property(
      fc.oneof(
        fc.tuple(version, version),
        near.chain(a => fc.tuple(fc.constant(a), near)),
      ),
      ([a, b]) => {
        const order = Math.sign(compareDebianVersions(a, b));
        return dpkgSays(a, 'lt', b) === order < 0 && dpkgSays(a, 'eq', b) === (order === 0);
      },
    ),
    {numRuns: 250},
  );
  t.pass();
});

test('the order is antisymmetric and transitive', t => {
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      const sorted = [a, b, c].sort(compareDebianVersions);
      return (
        Math.sign(compareDebianVersions(a, b)) === -Math.sign(compareDebianVersions(b, a)) + 0 &&
        compareDebianVersions(sorted[0] ?? '', sorted[2] ?? '') <= 0
      );
    }),
  );
  t.pass();
});

const known: [string, string, number][] = [
  ['1.0', '1.0', 0],
  ['1.0-0', '1.0', 0],
  ['0:1.0', '1.0', 0],
  ['1.0~rc1', '1.0', -1],
  ['1.0~~', '1.0~', -1],
  ['1:0.1', '9.9', 1],
  ['1.10', '1.9', 1],
  ['1.0a', '1.0+', -1],
  ['257.13-1~deb13u1', '257.13-1', -1],
  ['2.26.1-4', '2.26.1-4+b1', -1],
  ['18446744073709551617', '18446744073709551616', 1],
];
for (const [a, b, expected] of known) {
  test(`${a} against ${b} gives ${expected}`, t => {
    t.is(Math.sign(compareDebianVersions(a, b)), expected);
    t.is(Math.sign(compareDebianVersions(b, a)) + expected, 0);
  });
}

for (const bad of ['', ':', '1:', 'a:1', '1.0-', '1 0', '1_0', '-1', '1.0/../x']) {
  test(`"${bad}" is refused as a version`, t => {
    t.is(t.throws(() => parseDebianVersion(bad), {instanceOf: ContentsError}).code, 'bad-debian-version');
  });
}

test('a relation holds exactly when the order says so', t => {
  t.true(versionSatisfies('1.2', '>=', '1.2'));
  t.false(versionSatisfies('1.2', '>>', '1.2'));
  t.true(versionSatisfies('1.2~', '<<', '1.2'));
  t.true(versionSatisfies('1.2', '<=', '1.2'));
  t.true(versionSatisfies('1.2-0', '=', '1.2'));
});
