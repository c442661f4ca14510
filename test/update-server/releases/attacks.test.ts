/**
 * Attacks on the metadata, each against a machine that has seen the repository before. tuf-js' own client is asked too:
 * what ours refuses it refuses, and the other way round.
 */
import {cp, mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Metadata, MetadataKind, Root, Snapshot, Targets, Timestamp} from '@tufjs/models';
import test, {type ExecutionContext} from 'ava';
import {sha256} from '../../../services/common/hash.ts';
import {folderSource, type RepositorySource} from '../../../services/common/tuf/source.ts';
import {generateKey, signerOf, type Role} from '../../../services/update-server/releases/keys/key.ts';
import {refreshRepository} from '../../../services/update-server/releases/refresh.ts';
import {rotateKeys} from '../../../services/update-server/releases/rotate.ts';
import {loadState} from '../../../services/update-server/releases/state.ts';
import {independentClient, machine} from './clients.ts';
import {bench, DAY, type Bench} from './support.ts';

/** A bench with one release, and both clients having seen it. */
async function seen(t: ExecutionContext, wish: Parameters<typeof bench>[1] = {}) {
  const b = await bench(t, wish);
  await b.publish('1.0.0');
  const clients = {ours: await machine(b), theirs: await independentClient(b)};
  t.deepEqual(await clients.ours.versions(), ['1.0.0']);
  t.deepEqual(await clients.theirs.versions(), ['1.0.0']);
  return {b, ...clients};
}

async function bothRefuse(
  t: ExecutionContext,
  {ours, theirs}: Awaited<ReturnType<typeof seen>>,
  code: string,
): Promise<void> {
  await t.throwsAsync(ours.versions(), {code});
  await t.throwsAsync(theirs.versions());
}

const metadata = (b: Bench, name: string) => join(b.repository, 'metadata', name);

async function readSigned(
  b: Bench,
  name: string,
): Promise<{signatures: object[]; signed: Record<string, unknown>}> {
  return JSON.parse(await readFile(metadata(b, name), 'utf8')) as never;
}

async function writeJson(b: Bench, name: string, value: unknown): Promise<void> {
  await writeFile(metadata(b, name), JSON.stringify(value));
}

/** Another copy of the repository as it is now. */
async function keepCopy(b: Bench): Promise<string> {
  const copy = join(b.home, `copy-${(await readdir(b.home)).length}`);
  await cp(b.repository, copy, {recursive: true});
  return copy;
}

/** Puts the files of a copy over the repository. */
async function putBack(b: Bench, copy: string): Promise<void> {
  await rm(b.repository, {recursive: true});
  await cp(copy, b.repository, {recursive: true});
}

test('a threshold of two is enforced: one signature publishes nothing, and one is not believed', async t => {
  const s = await seen(t, {targets: {count: 2, threshold: 2}});
  const {b} = s;
  const poor = b.with({
    keys: {...b.keys, signers: async role => (await b.keys.signers(role)).slice(0, 1)},
  });
  await t.throwsAsync(poor.publish('1.1.0'), {code: 'not-enough-keys', message: /2 of the targets keys/});
  // Somebody with one of the two keys and both online keys writes the files anyway.
  await b.publish('1.1.0');
  const state = await loadState(b.store);
  const version = state.targets.signed.version;
  const name = `${version}.targets.json`;
  const file = await readSigned(b, name);
  t.is(file.signatures.length, 2);
  const stripped = JSON.stringify({...file, signatures: file.signatures.slice(0, 1)});
  await writeFile(metadata(b, name), stripped);
  await resignAbove(b, stripped, version);
  await bothRefuse(t, s, 'bad-signature');
  await t.throwsAsync(b.publish('1.2.0'), {code: 'repository-damaged'}, 'nor is it signed on top of');
});

/** What a thief of both online keys can do: snapshot and timestamp that name any targets.json. */
async function resignAbove(b: Bench, targets: string, targetsVersion: number, over: {version?: number} = {}) {
  const state = await loadStateLoosely(b);
  const version = over.version ?? state.snapshot + 1;
  const snapshot = new Metadata(
    Snapshot.fromJSON({
      _type: 'snapshot',
      spec_version: '1.0.31',
      version,
      expires: '2032-01-01T00:00:00Z',
      meta: {
        'targets.json': {version: targetsVersion, length: targets.length, hashes: {sha256: sha256(targets)}},
      },
    }),
  );
  for (const {sign} of await b.keys.signers('snapshot')) snapshot.sign(sign);
  const text = JSON.stringify(snapshot.toJSON());
  await writeFile(metadata(b, `${version}.snapshot.json`), text);
  const timestamp = new Metadata(
    Timestamp.fromJSON({
      _type: 'timestamp',
      spec_version: '1.0.31',
      version: over.version ?? state.timestamp + 1,
      expires: '2032-01-01T00:00:00Z',
      meta: {'snapshot.json': {version, length: text.length, hashes: {sha256: sha256(text)}}},
    }),
  );
  for (const {sign} of await b.keys.signers('timestamp')) timestamp.sign(sign);
  await writeFile(metadata(b, 'timestamp.json'), JSON.stringify(timestamp.toJSON()));
}

async function loadStateLoosely(b: Bench): Promise<{snapshot: number; timestamp: number}> {
  const {signed} = await readSigned(b, 'timestamp.json');
  const snapshot = (signed['meta'] as {'snapshot.json': {version: number}})['snapshot.json'].version;
  return {snapshot, timestamp: signed['version'] as number};
}

for (const role of ['root', 'targets', 'snapshot', 'timestamp'] as const) {
  test(`rotation of ${role}: a client that knows only the first root follows, old keys are worthless`, async t => {
    const s = await seen(t);
    const {b} = s;
    const oldSigners = await b.keys.signers(role);
    const rotated = await rotateKeys(b, {role});
    t.true(rotated.seamless);
    t.is(rotated.root, 2);
    for (const {key} of oldSigners) t.true(rotated.removed.includes(key.keyID));
    await b.publish('1.1.0');
    for (const client of [s.ours, s.theirs, await machine(b), await independentClient(b)])
      t.deepEqual(await client.versions(), ['1.0.0', '1.1.0']);
    // A thief of the old keys signs the next file with them.
    await forge(b, role, oldSigners);
    await bothRefuse(t, s, 'bad-signature');
  });
}

/** The next file of a role, signed by `signers` and, above it, by the real online keys. */
async function forge(
  b: Bench,
  role: Role,
  signers: Awaited<ReturnType<Bench['keys']['signers']>>,
): Promise<void> {
  const state = await loadState(b.store);
  const later = (version: number) => ({version, spec_version: '1.0.31', expires: '2032-01-01T00:00:00Z'});
  if (role === 'root') {
    const forged = new Metadata(
      Root.fromJSON({...state.root.signed.toJSON(), ...later(state.root.signed.version + 1)}),
    );
    for (const {sign} of signers) forged.sign(sign);
    await writeJson(b, `${state.root.signed.version + 1}.root.json`, forged.toJSON());
  } else if (role === 'targets') {
    const version = state.targets.signed.version + 1;
    const forged = new Metadata(Targets.fromJSON({...state.targets.signed.toJSON(), ...later(version)}));
    for (const {sign} of signers) forged.sign(sign);
    const text = JSON.stringify(forged.toJSON());
    await writeFile(metadata(b, `${version}.targets.json`), text);
    await resignAbove(b, text, version);
  } else {
    const timestamp = new Metadata(
      Timestamp.fromJSON({...state.timestamp.signed.toJSON(), ...later(state.timestamp.signed.version + 1)}),
    );
    if (role === 'snapshot') {
      const version = state.snapshot.signed.version + 1;
      const snapshot = new Metadata(
        Snapshot.fromJSON({...state.snapshot.signed.toJSON(), ...later(version)}),
      );
      for (const {sign} of signers) snapshot.sign(sign);
      await writeJson(b, `${version}.snapshot.json`, snapshot.toJSON());
      Object.assign(timestamp.signed, {
        snapshotMeta: Timestamp.fromJSON({
          ...timestamp.signed.toJSON(),
          meta: {'snapshot.json': {version}},
        }).snapshotMeta,
      });
      for (const {sign} of await b.keys.signers('timestamp')) timestamp.sign(sign);
    } else {
      for (const {sign} of signers) timestamp.sign(sign);
    }
    await writeJson(b, 'timestamp.json', timestamp.toJSON());
  }
}

test('several rotations, and a machine that slept through them', async t => {
  const s = await seen(t);
  for (const role of ['root', 'timestamp', 'root', 'targets', 'snapshot', 'root'] as const)
    await rotateKeys(s.b, {role});
  await s.b.publish('2.0.0');
  for (const client of [s.ours, s.theirs, await machine(s.b)])
    t.deepEqual(await client.versions(), ['1.0.0', '2.0.0']);
});

test('one lost root key of three is replaced, and counts and thresholds change', async t => {
  const {b, ours} = await seen(t);
  const [lost, ...rest] = await b.keys.signers('root');
  const poor = b.with({
    keys: {...b.keys, signers: async role => (role === 'root' ? rest : b.keys.signers(role))},
  });
  const rotated = await rotateKeys(poor, {role: 'root', replace: [lost?.key.keyID.slice(0, 12) ?? '']});
  t.deepEqual(rotated.removed, [lost?.key.keyID ?? '']);
  t.is(rotated.added.length, 1);
  await rotateKeys(b, {role: 'targets', count: 3, threshold: 2});
  const {root} = await loadState(b.store);
  t.like(root.signed.roles['targets'], {threshold: 2});
  t.is(root.signed.roles['targets']?.keyIDs.length, 3);
  await b.publish('1.1.0');
  t.deepEqual(await ours.versions(), ['1.0.0', '1.1.0']);
  await t.throwsAsync(rotateKeys(b, {role: 'targets', threshold: 4}), {code: 'bad-threshold'});
  await t.throwsAsync(rotateKeys(b, {role: 'targets', replace: ['zz']}), {code: 'keys-missing'});
});

test('targets keys that are all lost: a new root alone brings others, and clients follow', async t => {
  const {b, ours} = await seen(t);
  await rm(join(b.home, 'release-keys', 'targets'), {recursive: true});
  await t.throwsAsync(b.publish('1.1.0'), {code: 'not-enough-keys'});
  const rotated = await rotateKeys(b, {role: 'targets'});
  t.false(rotated.seamless);
  await b.publish('1.1.0');
  t.deepEqual(await ours.versions(), ['1.0.0', '1.1.0']);
});

test('rolled back: the whole repository of yesterday', async t => {
  const s = await seen(t);
  const yesterday = await keepCopy(s.b);
  await s.b.publish('1.1.0');
  t.deepEqual(await s.ours.versions(), ['1.0.0', '1.1.0']);
  t.deepEqual(await s.theirs.versions(), ['1.0.0', '1.1.0']);
  await putBack(s.b, yesterday);
  await bothRefuse(t, s, 'rollback');
  await t.throwsAsync(s.b.publish('1.2.0'), {code: 'repository-rolled-back'});
});

test('rolled back by a thief of the online keys: a new snapshot that names old targets', async t => {
  const s = await seen(t);
  const state = await loadState(s.b.store);
  const old = await readFile(metadata(s.b, `${state.targets.signed.version}.targets.json`), 'utf8');
  await s.b.publish('1.1.0');
  await s.ours.versions();
  await s.theirs.versions();
  await resignAbove(s.b, old, state.targets.signed.version);
  await bothRefuse(t, s, 'rollback');
});

test('replayed timestamp: the old one beside the new files', async t => {
  const s = await seen(t);
  const old = await readFile(metadata(s.b, 'timestamp.json'));
  await s.b.publish('1.1.0');
  await s.ours.versions();
  await s.theirs.versions();
  await writeFile(metadata(s.b, 'timestamp.json'), old);
  await bothRefuse(t, s, 'rollback');
});

test('frozen: nobody signs any more, and what was signed expires', async t => {
  const s = await seen(t);
  s.b.time.now = new Date(s.b.time.now.getTime() + 6.5 * DAY);
  t.deepEqual(await s.ours.versions(), ['1.0.0'], 'a long weekend is survived');
  s.b.time.now = new Date(s.b.time.now.getTime() + DAY);
  await bothRefuse(t, s, 'metadata-expired');
  await refreshRepository(s.b);
  t.deepEqual(await s.ours.versions(), ['1.0.0']);
  t.deepEqual(await s.theirs.versions(), ['1.0.0']);
});

test('an expired root is mended by the next root', async t => {
  const s = await seen(t);
  s.b.time.now = new Date(s.b.time.now.getTime() + 400 * DAY);
  await refreshRepository(s.b);
  await bothRefuse(t, s, 'metadata-expired');
  await refreshRepository(s.b, {offline: true});
  t.deepEqual(await s.ours.versions(), ['1.0.0']);
  t.deepEqual(await s.theirs.versions(), ['1.0.0']);
});

test('mix and match: files of two states of one repository', async t => {
  const s = await seen(t);
  const old = await loadState(s.b.store);
  const oldTargets = await readFile(metadata(s.b, `${old.targets.signed.version}.targets.json`));
  await s.b.publish('1.1.0');
  const {targets} = await loadState(s.b.store);
  await writeFile(metadata(s.b, `${targets.signed.version}.targets.json`), oldTargets);
  await bothRefuse(t, s, 'mismatch');
});

const wronglySigned = test.macro(async (t, name: (b: Bench) => Promise<string>, code: string) => {
  const s = await seen(t);
  await s.b.publish('1.1.0');
  const file = await name(s.b);
  const content = await readSigned(s.b, file);
  const kind = content.signed['_type'] as string;
  const parsed =
    kind === 'timestamp'
      ? Metadata.fromJSON(MetadataKind.Timestamp, content as never)
      : Metadata.fromJSON(MetadataKind.Targets, content as never);
  parsed.sign(signerOf(generateKey()).sign, false);
  await writeJson(s.b, file, parsed.toJSON());
  await bothRefuse(t, s, code);
});

test('wrongly signed timestamp', wronglySigned, async () => 'timestamp.json', 'bad-signature');
test(
  'wrongly signed targets: the hash in the snapshot shows it first',
  wronglySigned,
  async b => `${(await loadState(b.store)).targets.signed.version}.targets.json`,
  'mismatch',
);

test('a signature over other content', async t => {
  const s = await seen(t);
  const file = await readSigned(s.b, 'timestamp.json');
  const signed = {
    ...file.signed,
    version: Number(file.signed['version']) + 1,
    expires: '2039-01-01T00:00:00Z',
  };
  await writeJson(s.b, 'timestamp.json', {...file, signed});
  await bothRefuse(t, s, 'bad-signature');
});

test('one signature counted twice does not make two', async t => {
  const s = await seen(t, {targets: {count: 2, threshold: 2}});
  await s.b.publish('1.1.0');
  const {targets} = await loadState(s.b.store);
  const name = `${targets.signed.version}.targets.json`;
  const file = await readSigned(s.b, name);
  const text = JSON.stringify({...file, signatures: [file.signatures[0], file.signatures[0]]});
  await writeFile(metadata(s.b, name), text);
  await resignAbove(s.b, text, targets.signed.version);
  await bothRefuse(t, s, 'malformed');
});

test('fast-forward: version numbers run up by a thief are forgotten with his keys', async t => {
  const s = await seen(t);
  const state = await loadState(s.b.store);
  const {version} = state.targets.signed;
  const good = await keepCopy(s.b);
  const targets = await readFile(metadata(s.b, `${version}.targets.json`), 'utf8');
  await resignAbove(s.b, targets, version, {version: 2_000_000_000});
  t.deepEqual(await s.ours.versions(), ['1.0.0'], 'the thief is believed, as far as his keys reach');
  t.deepEqual(await s.theirs.versions(), ['1.0.0']);
  await putBack(s.b, good);
  await s.b.publish('1.1.0');
  await bothRefuse(t, s, 'rollback');
  await rotateKeys(s.b, {role: 'snapshot'});
  await rotateKeys(s.b, {role: 'timestamp'});
  t.deepEqual(await s.ours.versions(), ['1.0.0', '1.1.0']);
  t.deepEqual(await s.theirs.versions(), ['1.0.0', '1.1.0']);
});

test('endless data: every file has an end', async t => {
  const {b, ours} = await seen(t);
  await b.publish('1.1.0');
  const real = folderSource(b.repository);
  for (const wanted of ['timestamp.json', 'snapshot.json', 'targets.json', 'root.json']) {
    const endless: RepositorySource = {
      name: 'endless',
      read: async (path, maxBytes, signal) => {
        if (!path.endsWith(wanted)) return real.read(path, maxBytes, signal);
        await mkdir(join(b.home, 'endless', 'metadata'), {recursive: true});
        await writeFile(join(b.home, 'endless', path), Buffer.alloc(maxBytes + 1));
        return folderSource(join(b.home, 'endless')).read(path, maxBytes, signal);
      },
    };
    const fresh = await machine(b, {repositories: [endless]});
    await t.throwsAsync(fresh.versions(), {code: 'too-large'}, wanted);
  }
  t.deepEqual(await ours.versions(), ['1.0.0', '1.1.0']);
});

const damaged = test.macro(async (t, bytes: string, code: string) => {
  const s = await seen(t);
  await writeFile(metadata(s.b, 'timestamp.json'), bytes);
  await bothRefuse(t, s, code);
});

test('malformed: empty', damaged, '', 'malformed');
test('malformed: not JSON', damaged, '<html>captive portal</html>', 'malformed');
test('malformed: not an object', damaged, '[]', 'malformed');
test('malformed: nothing signed', damaged, '{"signatures":[],"signed":{}}', 'malformed');
test('malformed: null', damaged, 'null', 'malformed');

test('a flipped byte in a manifest', async t => {
  const {b, ours} = await seen(t);
  const folder = join(b.repository, 'targets', 'releases');
  const [name = ''] = await readdir(folder);
  const bytes = await readFile(join(folder, name));
  bytes[40] = (bytes[40] ?? 0) ^ 1;
  await writeFile(join(folder, name), bytes);
  const trust = await ours.open();
  await t.throwsAsync(trust.manifest('1.0.0'), {code: 'mismatch'});
  await t.throwsAsync(b.publish('1.1.0'), {code: 'repository-damaged'});
});
