/** Changing the db key: what machines are told, what signs meanwhile, and kills in between. */
import {spawnSync} from 'node:child_process';
import {createPrivateKey, X509Certificate} from 'node:crypto';
import {cp, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {exec} from '../../../services/common/exec.ts';
import {parsePe} from '../../../services/common/formats/pe.ts';
import {attachSignature, detachSignature, joinSignatures} from '../../../image-build/formats/pe-signature.ts';
import {secureBootVariables, variablePayload} from '../../../image-build/keys/authenticated-variable.ts';
import {previousDb, type KeyPair} from '../../../image-build/keys/key-set.ts';
import {finishRotation, rotateDb} from '../../../image-build/keys/rotation.ts';
import {encodeSignatureLists} from '../../../image-build/keys/signature-list.ts';
import {createKeys, loadKeys} from '../../../image-build/keys/store.ts';
import {signingIdentity} from '../../../image-build/signing.ts';

const OWNER = '6ba7b810-9dad-41d1-80b4-00c04fd430c8';
const NOW = new Date('2026-11-23T10:20:30Z');

async function newKeys(t: ExecutionContext) {
  const parent = await mkdtemp(join(tmpdir(), 'hawser-rotation-'));
  t.teardown(() => rm(parent, {recursive: true, force: true}));
  const folder = join(parent, 'keys');
  return {parent, folder, keys: await createKeys({folder, owner: OWNER, now: NOW})};
}

const der = async (path: string) => new X509Certificate(await readFile(path)).raw;

/** The content behind an `.auth` file's signature, proven by openssl against `signer`. */
async function proven(
  t: ExecutionContext,
  path: string,
  name: 'db' | 'dbx',
  signer: KeyPair,
  content: Uint8Array,
  append: boolean,
): Promise<void> {
  const bytes = await readFile(path);
  t.deepEqual(bytes.subarray(-content.length), Buffer.from(content));
  const length = bytes.readUInt32LE(16) - 24;
  const folder = await mkdtemp(join(tmpdir(), 'hawser-proof-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  const signedData = bytes.subarray(40, 40 + length);
  // openssl wants the ContentInfo around it that firmware does not.
  const tagged = (tag: number, inner: Uint8Array) =>
    Buffer.concat([Buffer.from([tag, 0x82, inner.length >> 8, inner.length & 0xff]), inner]);
  const oid = Buffer.from([0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02]);
  await writeFile(join(folder, 'sig'), tagged(0x30, Buffer.concat([oid, tagged(0xa0, signedData)])));
  await writeFile(join(folder, 'payload'), variablePayload(secureBootVariables[name], NOW, content, append));
  await t.notThrowsAsync(
    exec(
      [
        'openssl',
        'cms',
        '-verify',
        '-binary',
        '-inform',
        'DER',
        '-in',
        join(folder, 'sig'),
        '-content',
        join(folder, 'payload'),
        '-certfile',
        signer.certificate,
        '-CAfile',
        signer.certificate,
        '-purpose',
        'any',
        '-out',
        '/dev/null',
      ],
      {timeoutMs: 30_000},
    ),
  );
}

test('rotation adds the new key to machines, and finishing it takes the old one away', async t => {
  const {folder, keys} = await newKeys(t);
  const old = await readFile(keys.paths.db.certificate);
  const identity = await signingIdentity({kind: 'keys', folder});
  const input = {folder, now: NOW};
  const rotated = await rotateDb(input);
  const {paths} = rotated.keys;
  t.notDeepEqual(await readFile(paths.db.certificate), old);
  t.deepEqual(await readFile(previousDb(folder).certificate), old);
  const [fresh, before] = [await der(paths.db.certificate), await der(previousDb(folder).certificate)];
  t.true(new X509Certificate(fresh).checkPrivateKey(createPrivateKey(await readFile(paths.db.key))));
  t.not(
    await signingIdentity({kind: 'keys', folder}),
    identity,
    'an image of the old key alone is not taken for one of both',
  );
  await proven(t, rotated.update, 'db', paths.KEK, encodeSignatureLists(OWNER, [fresh]), true);
  await proven(
    t,
    join(paths.enrolment, 'db.auth'),
    'db',
    paths.KEK,
    encodeSignatureLists(OWNER, [fresh, before]),
    false,
  );
  await t.throwsAsync(rotateDb(input), {code: 'rotation-unfinished'});

  const finished = await finishRotation(input);
  await proven(t, finished.update, 'dbx', paths.KEK, encodeSignatureLists(OWNER, [before]), true);
  await proven(
    t,
    join(paths.enrolment, 'db.auth'),
    'db',
    paths.KEK,
    encodeSignatureLists(OWNER, [fresh]),
    false,
  );
  t.is((await readdir(join(folder, 'retired'))).length, 2);
  await t.throwsAsync(finishRotation(input), {code: 'no-rotation'});
  await t.notThrowsAsync(rotateDb(input), 'and again');
});

test('a rotation that was killed goes on, whichever of its files are there', async t => {
  const {parent, folder} = await newKeys(t);
  const before = join(parent, 'before');
  await cp(folder, before, {recursive: true});
  await rotateDb({folder, now: NOW});
  const after = join(parent, 'after');
  await cp(folder, after, {recursive: true});
  const file = (from: string, name: string) => ({from: join(from, name), to: name});
  // What stands on the disk after each step that can be the last one.
  const stages = [
    [{...file(after, 'db.key'), to: 'db-next.key'}],
    [
      {...file(after, 'db.key'), to: 'db-next.key'},
      {...file(after, 'db.crt'), to: 'db-next.crt'},
    ],
    [
      {...file(after, 'db.key'), to: 'db-next.key'},
      {...file(after, 'db.crt'), to: 'db-next.crt'},
      file(after, 'db-previous.key'),
      file(after, 'db-previous.crt'),
    ],
    [
      file(after, 'db.key'),
      {...file(after, 'db.crt'), to: 'db-next.crt'},
      file(after, 'db-previous.key'),
      file(after, 'db-previous.crt'),
    ],
  ];
  const old = await readFile(join(before, 'db.crt'));
  for (const [index, files] of stages.entries()) {
    await rm(folder, {recursive: true});
    await cp(before, folder, {recursive: true});
    for (const {from, to} of files) await cp(from, join(folder, to));
    await rotateDb({folder, now: NOW});
    const {paths} = await loadKeys(folder);
    const certificate = new X509Certificate(await readFile(paths.db.certificate));
    t.true(certificate.checkPrivateKey(createPrivateKey(await readFile(paths.db.key))), `stage ${index}`);
    t.deepEqual(await readFile(previousDb(folder).certificate), old, `stage ${index}`);
    t.deepEqual(
      (await readdir(folder)).filter(name => /next|making/.test(name)),
      [],
      `stage ${index}`,
    );
  }
});

const STUB = '/usr/lib/systemd/boot/efi/linuxx64.efi.stub';

test('an image signed by both keys is accepted by either, and goes apart and together again', async t => {
  const without = [
    ['sbsign', '--version'],
    ['sbverify', '--version'],
    ['test', '-e', STUB],
  ].filter(([program = '', ...args]) => spawnSync(program, args).status !== 0);
  if (without.length > 0) {
    t.log(
      `SKIPPED: not installed: ${without.map(([program, ...args]) => [program, ...args].join(' ')).join(', ')}`,
    );
    t.pass();
    return;
  }
  const {parent, folder} = await newKeys(t);
  const {keys} = await rotateDb({folder, now: NOW});
  const foreign = await createKeys({folder: join(parent, 'foreign'), owner: OWNER, now: NOW});
  const signatures = [];
  for (const {key, certificate} of [keys.paths.db, previousDb(folder)]) {
    const output = join(parent, 'once.efi');
    await exec(['sbsign', '--key', key, '--cert', certificate, '--output', output, STUB], {
      timeoutMs: 30_000,
    });
    signatures.push(detachSignature(await readFile(output)).signature);
  }
  const [first = new Uint8Array(), second = new Uint8Array()] = signatures;
  const both = attachSignature(await readFile(STUB), joinSignatures(first, second));
  t.truthy(parsePe(both).certificateTable);
  t.deepEqual(Buffer.from(detachSignature(both).signature), Buffer.from(joinSignatures(first, second)));
  const program = join(parent, 'both.efi');
  await writeFile(program, both);
  const verify = async (certificate: string) =>
    exec(['sbverify', '--cert', certificate, program], {timeoutMs: 30_000, okCodes: [0, 1]});
  t.is((await verify(keys.paths.db.certificate)).code, 0);
  t.is((await verify(previousDb(folder).certificate)).code, 0);
  t.is((await verify(foreign.paths.db.certificate)).code, 1);
});
