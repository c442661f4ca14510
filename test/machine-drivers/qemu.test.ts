/** What only the qemu driver has: its command line, ports, firmware, images, the KVM probe. */
import {createServer} from 'node:net';
import {mkdir, readFile, stat, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {silentProgress} from '../../services/common/progress.ts';
import {exec} from '../../services/common/exec.ts';
import type {ImageManifest} from '../../services/common/contracts/image.ts';
import {sha256} from '../../services/common/hash.ts';
import {createMachine} from '../../machine-drivers/create.ts';
import {qemuCommand} from '../../machine-drivers/drivers/qemu/command-line.ts';
import {findFirmware} from '../../machine-drivers/drivers/qemu/firmware.ts';
import {findEmulator} from '../../machine-drivers/drivers/qemu/emulator.ts';
import {findBaseDisk, holdBaseDisk, releaseBaseDisks} from '../../machine-drivers/drivers/qemu/image.ts';
import {qemuDriver} from '../../machine-drivers/drivers/qemu/index.ts';
import {runsGuests} from '../../machine-drivers/drivers/qemu/kvm-probe.ts';
import {configureQemu} from '../../machine-drivers/drivers/qemu/settings.ts';
import {killMachine, removeMachine, startMachine} from '../../machine-drivers/lifecycle.ts';
import {loadMachine} from '../../machine-drivers/machine.ts';
import {stubDeps, temporaryFolder} from './support/runtime.ts';

const never = new AbortController().signal;

const plan = {
  program: 'qemu-system-x86_64',
  name: 'web',
  uuid: '5f0c1a52-0000-4000-8000-000000000001',
  accelerator: 'tcg' as const,
  memoryMiB: 1024,
  cpus: 2,
  secureBoot: false,
  restrict: false,
  paused: false,
  firmwareCode: '/fw/CODE.fd',
  firmwareVars: '/m/vars.fd',
  disk: '/m/a,b/disk.qcow2',
  config: '/m/first-boot.ign',
  sshPort: 20_200,
  dockerPort: 20_201,
  publish: [],
  outMac: '52:54:00:00:00:01',
  wireMac: '52:54:00:00:00:02',
  wire: {group: '239.255.1.2', port: 30_000},
  console: '/m/console.log',
  monitor: '/m/x.qmp',
  pidFile: '/m/qemu.pid',
};

test('the command line forwards on the loopback only, and carries no secret', t => {
  const words = qemuCommand(plan);
  const line = words.join(' ');
  t.regex(
    line,
    /-netdev user,id=out,hostfwd=tcp:127\.0\.0\.1:20200-:22,hostfwd=tcp:127\.0\.0\.1:20201-:2376 /,
  );
  t.regex(line, /-netdev socket,id=wire,mcast=239\.255\.1\.2:30000,localaddr=127\.0\.0\.1 /);
  t.regex(line, /-fw_cfg name=opt\/com\.coreos\/config,file=\/m\/first-boot\.ign /);
  t.regex(line, /file=\/m\/a,,b\/disk\.qcow2/);
  t.regex(line, /-machine q35 -accel tcg,thread=multi,tb-size=512 -cpu max /);
  t.false(words.includes('-S'));
});

test('each wish has its words', t => {
  t.regex(qemuCommand({...plan, restrict: true}).join(' '), /user,id=out,restrict=on,hostfwd/);
  t.true(qemuCommand({...plan, paused: true}).includes('-S'));
  t.regex(
    qemuCommand({...plan, publish: [{host: 8080, guest: 80}]}).join(' '),
    /-:2376,hostfwd=tcp:127\.0\.0\.1:8080-:80 /,
  );
  t.regex(qemuCommand({...plan, accelerator: 'kvm'}).join(' '), /-accel kvm -cpu max/);
  const secure = qemuCommand({...plan, secureBoot: true}).join(' ');
  t.regex(secure, /-machine q35,smm=on /);
  t.regex(secure, /-global driver=cfi\.pflash01,property=secure,value=on /);
});

test('the probe guest really runs: software emulation passes, an accelerator that is none fails', async t => {
  t.true(await runsGuests('qemu-system-x86_64', 'tcg', never));
  t.false(await runsGuests('/bin/false', 'kvm', never));
});

test('firmware is found where distributions put it, or beside the file that is named', async t => {
  const found = await findFirmware({secureBoot: false, code: undefined, secureBootVars: undefined});
  t.regex(found.code, /CODE/);
  t.regex(found.vars, /VARS/);
  const folder = await temporaryFolder(t);
  const code = join(folder, 'MY_CODE_4M.secboot.fd');
  await writeFile(code, '');
  await t.throwsAsync(findFirmware({secureBoot: false, code, secureBootVars: undefined}), {
    code: 'check-failed',
  });
  await writeFile(join(folder, 'MY_VARS_4M.fd'), '');
  const named = await findFirmware({secureBoot: false, code, secureBootVars: undefined});
  t.is(named.vars, join(folder, 'MY_VARS_4M.fd'));
  t.is((await findFirmware({secureBoot: true, code, secureBootVars: '/keys.fd'})).vars, '/keys.fd');
});

test('an image folder is taken by its manifest, and refused when a file is not what it says', async t => {
  const folder = await temporaryFolder(t);
  const image = join(folder, 'v1');
  await mkdir(image);
  await symlink('v1', join(folder, 'current'));
  await exec(['qemu-img', 'create', '-q', '-f', 'qcow2', join(image, 'x.qcow2'), '1M'], {timeoutMs: 30_000});
  const {size} = await stat(join(image, 'x.qcow2'));
  const hash = sha256('');
  const manifest: ImageManifest = {
    schema: 1,
    name: 'hawser',
    version: '1.0.0',
    architecture: 'x86_64',
    locked: true,
    signed: false,
    rootHash: hash,
    kernel: '6.12',
    lockSha256: hash,
    inputs: hash,
    artefacts: {qcow2: {file: 'x.qcow2', size, sha256: hash}},
  };
  await writeFile(join(image, 'manifest.json'), JSON.stringify(manifest));
  const found = await findBaseDisk(join(folder, 'current'));
  t.deepEqual(found, {path: join(image, 'x.qcow2'), format: 'qcow2'});
  await writeFile(join(image, 'x.qcow2'), 'cut');
  await t.throwsAsync(findBaseDisk(image), {code: 'check-failed', message: /is not what its manifest says/});
});

test('a machine keeps its base when the image is built anew or removed', async t => {
  const home = await temporaryFolder(t);
  const paths = {home, cache: home};
  const path = join(home, 'image.raw');
  await writeFile(path, 'old');
  const held = await holdBaseDisk(paths, {path, format: 'raw'});
  t.is(await holdBaseDisk(paths, {path, format: 'raw'}), held);
  await exec(['mv', path, `${path}.gone`], {timeoutMs: 5000});
  await writeFile(path, 'new!');
  t.not(await holdBaseDisk(paths, {path, format: 'raw'}), held);
  t.is(await readFile(join(home, 'machines', '.bases', held), 'utf8'), 'old');
  await releaseBaseDisks(paths, new Set());
  await t.throwsAsync(stat(join(home, 'machines', '.bases', held)), {code: 'ENOENT'});
});

test('a number in a pid file that belongs to somebody else is not our emulator', async t => {
  const pidFile = join(await temporaryFolder(t), 'qemu.pid');
  await writeFile(pidFile, `${process.pid}\n`);
  t.is(await findEmulator(pidFile), undefined);
});

test('a port taken while the machine was off is replaced at its next start', async t => {
  const home = await temporaryFolder(t);
  const image = join(home, 'image.qcow2');
  await exec(['qemu-img', 'create', '-q', '-f', 'qcow2', image, '64M'], {timeoutMs: 30_000});
  const flags = new Map<string, string | boolean | number>([
    ['image', image],
    ['qemu-paused', true],
    ['qemu-memory', 128],
    ['qemu-accel', 'tcg'],
  ]);
  const settings = await configureQemu(flags, {cwd: home, paths: {home, cache: home}});
  const deps = await stubDeps(home, [qemuDriver]);
  t.teardown(() => removeMachine(deps, 'm', true, {progress: silentProgress, warn: () => undefined}));
  await createMachine(deps, {name: 'm', driver: 'qemu', settings, seconds: 1}, silentProgress);
  const before = (await loadMachine(deps.store, 'm')).ledger.resources;
  await killMachine(deps, 'm', silentProgress);
  const thief = createServer();
  await new Promise<void>(resolve =>
    thief.listen({host: '127.0.0.1', port: Number(before['sshPort'])}, resolve),
  );
  t.teardown(() => thief.close());
  await startMachine(deps, 'm', 1, silentProgress);
  const after = (await loadMachine(deps.store, 'm')).ledger.resources;
  t.not(after['sshPort'], before['sshPort']);
  t.is(after['wireAddress'], before['wireAddress']);
});
