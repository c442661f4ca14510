import {spawnSync} from 'node:child_process';
import {X509Certificate} from 'node:crypto';
import {chmod, mkdtemp, readFile, readdir, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {CommandContext} from '../../../services/common/command.ts';
import {ExecError} from '../../../services/common/exec.ts';
import {silentProgress} from '../../../services/common/progress.ts';
import {secureBootVariables, variablePayload} from '../../../image-build/keys/authenticated-variable.ts';
import {keysCommands} from '../../../image-build/keys/commands.ts';
import {KeysError} from '../../../image-build/keys/errors.ts';
import {allKeyFiles, privateKeys} from '../../../image-build/keys/key-set.ts';
import {createKeys, loadKeys} from '../../../image-build/keys/store.ts';

const OWNER = '6ba7b810-9dad-41d1-80b4-00c04fd430c8';
const NOW = new Date('2026-11-23T10:20:30.400Z');

async function home(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-keys-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  return folder;
}

async function contents(files: readonly string[]): Promise<string[]> {
  return Promise.all(files.map(file => readFile(file, 'hex')));
}

test('keys appear whole, private ones for their owner alone, and a second run changes nothing', async t => {
  const parent = await home(t);
  const input = {folder: join(parent, 'keys'), owner: OWNER, now: NOW};
  const first = await createKeys(input);
  t.true(first.created);
  t.is(first.owner, OWNER);
  const before = await contents(allKeyFiles(first.paths));
  for (const file of privateKeys(first.paths)) t.is((await stat(file)).mode & 0o777, 0o600);
  t.is((await stat(first.paths.folder)).mode & 0o777, 0o700);
  const second = await createKeys({...input, owner: OWNER.replace('6', '7')});
  t.false(second.created);
  t.is(second.owner, OWNER);
  t.deepEqual(await contents(allKeyFiles(second.paths)), before);
  t.deepEqual(await readdir(parent), ['keys']);
  for (const name of ['PK', 'KEK', 'db'] as const) {
    const certificate = new X509Certificate(await readFile(first.paths[name].certificate));
    t.is(certificate.publicKey.asymmetricKeyDetails?.modulusLength, 2048);
    t.true(certificate.validToDate.getUTCFullYear() >= new Date().getUTCFullYear() + 20);
  }

  await chmod(first.paths.db.key, 0o640);
  await t.throwsAsync(loadKeys(input.folder), {instanceOf: KeysError, code: 'keys-readable-by-others'});
  await rm(first.paths.pcr.publicKey);
  await t.throwsAsync(loadKeys(input.folder), {instanceOf: KeysError, code: 'keys-incomplete'});
  await t.throwsAsync(createKeys(input), {instanceOf: KeysError, code: 'keys-incomplete'});
});

test('of two processes that make keys at once, both end with the keys of the same one', async t => {
  const parent = await home(t);
  const folder = join(parent, 'keys');
  const owners = [OWNER, OWNER.replace('6', '7')];
  const [a, b] = await Promise.all(owners.map(owner => createKeys({folder, owner, now: NOW})));
  t.is(a?.owner, b?.owner);
  t.is([a, b].filter(one => one?.created).length, 1);
  t.deepEqual(await readdir(parent), ['keys']);
});

test('an interruption leaves nothing behind', async t => {
  const parent = await home(t);
  const input = {folder: join(parent, 'keys'), owner: OWNER, now: NOW, signal: AbortSignal.timeout(60)};
  await t.throwsAsync(createKeys(input), {instanceOf: ExecError});
  t.deepEqual(await readdir(parent), []);
  await t.throwsAsync(loadKeys(input.folder), {instanceOf: KeysError, code: 'keys-missing'});
});

test('the enrolment files are what sign-efi-sig-list makes of the same keys, signature included', async t => {
  if (spawnSync('sign-efi-sig-list', ['--help']).error !== undefined) {
    t.log('SKIPPED: efitools is not installed, so there is no oracle');
    t.pass();
    return;
  }
  const parent = await home(t);
  const {paths} = await createKeys({folder: join(parent, 'keys'), owner: OWNER, now: NOW});
  const signers = {PK: paths.PK, KEK: paths.PK, db: paths.KEK};
  const run = (...argv: string[]) => {
    const [program = '', ...args] = argv;
    const result = spawnSync(program, args, {env: {...process.env, TZ: 'UTC'}});
    if (result.status !== 0) throw new Error(`${argv.join(' ')}: ${String(result.stderr)}`);
  };
  for (const name of ['PK', 'KEK', 'db'] as const) {
    const [list, auth, bundle] = ['esl', 'auth', 'bundle'].map(end => join(parent, `${name}.${end}`)) as [
      string,
      string,
      string,
    ];
    const signer = signers[name];
    run('cert-to-efi-sig-list', '-g', OWNER, paths[name].certificate, list);
    const signing = ['-t', '2026-11-23 10:20:30', '-k', signer.key, '-c', signer.certificate, name, list];
    run('sign-efi-sig-list', ...signing, auth);
    run('sign-efi-sig-list', '-o', ...signing, bundle);
    const content = await readFile(list);
    t.deepEqual(
      Buffer.from(variablePayload(secureBootVariables[name], NOW, content)),
      await readFile(bundle),
      name,
    );

    const ours = await readFile(join(paths.enrolment, `${name}.auth`));
    const theirs = await readFile(auth);
    t.deepEqual(ours.subarray(0, 16), theirs.subarray(0, 16), 'time');
    t.deepEqual(ours.subarray(20, 40), theirs.subarray(20, 40), 'certificate header but for its length');
    t.deepEqual(ours.subarray(-content.length), content, 'content');
    // RSA PKCS#1 v1.5 has no randomness: the last 256 bytes before the content are the same signature.
    t.deepEqual(ours.subarray(-content.length - 256), theirs.subarray(-content.length - 256), 'signature');
  }
});

test('`keys init` says what it made, and `keys show` shows the same fingerprints later', async t => {
  const HAWSER_HOME = await home(t);
  const lines: string[] = [];
  const context: CommandContext = {
    progress: silentProgress,
    print: line => lines.push(line),
    warn: () => undefined,
    env: {HAWSER_HOME},
    cwd: HAWSER_HOME,
    signal: new AbortController().signal,
    interactive: false,
  };
  const call = async (name: string) => {
    lines.length = 0;
    const command = keysCommands.find(one => one.name === name);
    t.is(await command?.run(context, {args: [], flags: new Map()}), 0);
    return [...lines];
  };
  await t.throwsAsync(call('keys show'), {instanceOf: KeysError, message: /no keys/});
  const [made, ...fingerprints] = await call('keys init');
  t.is(made, `made the keys in ${HAWSER_HOME}/keys`);
  t.is(fingerprints.length, 5);
  t.deepEqual(await call('keys show'), fingerprints);
  t.deepEqual(await call('keys init'), [`the keys are in ${HAWSER_HOME}/keys already`, ...fingerprints]);
});

test('a folder with something else in it is never touched', async t => {
  const parent = await home(t);
  await writeFile(join(parent, 'note'), 'mine');
  await t.throwsAsync(createKeys({folder: parent, owner: OWNER, now: NOW}), {
    instanceOf: KeysError,
    code: 'keys-incomplete',
  });
  t.deepEqual(await readdir(parent), ['note']);
});
