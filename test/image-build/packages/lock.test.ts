import test from 'ava';
import * as fc from 'fast-check';
import {
  diffLocks,
  Lock,
  packageSets,
  renderChanges,
  serializeLock,
  type LockedPackage,
  type LockedTarball,
} from '../../../image-build/packages/lock.ts';
import {parseJson, ParseError} from '../../../services/common/parse.ts';

const hex = fc.string({
  unit: fc.constantFrom(...Array.from({length: 16}, (_, digit) => digit.toString(16))),
  minLength: 64,
  maxLength: 64,
});
const name = fc.stringMatching(/^[a-z][a-z0-9+.-]{1,8}$/);
const version = fc.stringMatching(/^[0-9][0-9a-z.+:~-]{0,8}$/);

const debianPackage: fc.Arbitrary<LockedPackage> = fc.record(
  {
    name,
    version,
    architecture: fc.constantFrom('amd64', 'all'),
    archive: fc.constantFrom('debian' as const, 'debian-security' as const),
    path: fc.stringMatching(/^pool\/main\/[a-z]\/[a-z]{1,5}\.deb$/),
    sha256: hex,
    size: fc.integer({min: 1, max: 1e9}),
    source: name,
    sourceVersion: version,
  },
  {requiredKeys: ['name', 'version', 'architecture', 'archive', 'path', 'sha256', 'size']},
);
const tarball: fc.Arbitrary<LockedTarball> = fc.record({
  name: fc.stringMatching(/^(@[a-z]{1,4}\/)?[a-z]{1,6}$/),
  version: fc.constantFrom('1.0.0', '2.3.4'),
  integrity: fc
    .uint8Array({minLength: 64, maxLength: 64})
    .map(bytes => `sha512-${Buffer.from(bytes).toString('base64')}`),
});
const named = <Entry extends {name: string}>(entry: fc.Arbitrary<Entry>) =>
  fc.uniqueArray(entry, {selector: ({name}) => name, maxLength: 6});
const lock: fc.Arbitrary<Lock> = fc.record(
  {
    schema: fc.constant(1 as const),
    request: hex,
    epoch: fc.integer({min: 1, max: 2e9}),
    seed: fc.uuid(),
    tools: named(debianPackage),
    image: named(debianPackage),
    kernel: fc.array(debianPackage, {minLength: 1, maxLength: 1}),
    npm: named(tarball),
    sysexts: fc.dictionary(fc.constantFrom('debug', 'wireless', 'kube-1'), named(debianPackage), {
      noNullPrototype: true,
    }),
  },
  {requiredKeys: ['schema', 'request', 'epoch', 'seed', 'tools', 'image', 'kernel', 'npm']},
);

function sorted(value: Lock): Lock {
  const byName = <Entry extends {name: string}>(entries: readonly Entry[]) =>
    [...entries].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return {
    ...value,
    tools: byName(value.tools),
    image: byName(value.image),
    kernel: byName(value.kernel),
    npm: byName(value.npm),
    ...(value.sysexts === undefined
      ? {}
      : {
          sysexts: Object.fromEntries(
            Object.entries(value.sysexts).map(([sysext, entries]) => [sysext, byName(entries)]),
          ),
        }),
  };
}

const byKey = ([a]: readonly [string, string], [b]: readonly [string, string]) => (a < b ? -1 : 1);

test('a lock survives being written and read', t => {
  fc.assert(
    fc.property(lock, value => {
      t.deepEqual(parseJson(Lock, serializeLock(value), 'lock'), sorted(value));
    }),
  );
});

test('what is written does not depend on the order of the packages', t => {
  fc.assert(
    fc.property(lock, value => {
      const turned = {
        ...value,
        tools: value.tools.toReversed(),
        image: value.image.toReversed(),
        npm: value.npm.toReversed(),
      };
      t.is(serializeLock(turned), serializeLock(value));
    }),
  );
});

test('a lock does not differ from itself', t => {
  fc.assert(fc.property(lock, value => t.deepEqual(diffLocks(value, value), [])));
});

test('a difference, applied to the names and versions of the old lock, gives those of the new one', t => {
  fc.assert(
    fc.property(lock, lock, (before, after) => {
      const held = (value: Lock) =>
        new Map<string, string>([
          ...[...packageSets, 'npm' as const].flatMap(set =>
            value[set].map(entry => [`${set} ${entry.name}`, entry.version] as const),
          ),
          ...Object.entries(value.sysexts ?? {}).flatMap(([sysext, entries]) =>
            entries.map(entry => [`sysext ${sysext} ${entry.name}`, entry.version] as const),
          ),
        ]);
      const result = held(before);
      for (const {set, name, from, to} of diffLocks(before, after)) {
        t.is(result.get(`${set} ${name}`), from);
        if (to === undefined) result.delete(`${set} ${name}`);
        else result.set(`${set} ${name}`, to);
      }
      t.deepEqual(new Map([...result].sort(byKey)), new Map([...held(after)].sort(byKey)));
    }),
  );
});

test('other bytes under the same version are a difference, and said to be one', t => {
  fc.assert(
    fc.property(lock, hex, (value, other) => {
      const [kernel] = value.kernel;
      fc.pre(kernel !== undefined && kernel.sha256 !== other);
      const changed = {...value, kernel: value.kernel.map(entry => ({...entry, sha256: other}))};
      const lines = renderChanges(diffLocks(value, changed));
      t.is(lines.length, 1);
      t.regex(lines[0] ?? '', /^! kernel .*other bytes under the same version/);
    }),
  );
});

const [example] = fc.sample(lock, {numRuns: 1, seed: 7});
const refused = test.macro({
  title: (title = '') => `a lock with ${title} is refused`,
  exec: (t, entry: Partial<LockedPackage> | {extra: string}) => {
    t.notThrows(() => parseJson(Lock, JSON.stringify(example), 'lock'));
    const kernel = example?.kernel.map(one => ({...one, ...entry}));
    t.throws(() => parseJson(Lock, JSON.stringify({...example, kernel}), 'lock'), {instanceOf: ParseError});
  },
});
test('an unknown field', refused, {extra: 'x'});
test('a name that climbs out of the store', refused, {name: '../../etc'});
test('a version that holds a comma', refused, {version: '1,other=2'});
test('a path that climbs out of the archive', refused, {path: 'pool/../../x.deb'});
test('an absolute path', refused, {path: '/pool/x.deb'});
test('a hash in capitals', refused, {sha256: 'A'.repeat(64)});
test('an empty package', refused, {size: 0});
