/**
 * The bundle that goes into the image, as the machine starts it: on a host made of a mount namespace (disk, slots, ESP and
 * kernel facts are files), with a signed repository, real payloads and a server over mutual TLS. Reboots are played.
 */
import {copyFile, mkdir, mkdtemp, readFile, rm, stat, symlink, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import test from 'ava';
import {buildAgents} from '../../image-build/steps/agents.ts';
import {partitionType, slotPartitionUuids} from '../../services/common/contracts/slots.ts';
import {exec} from '../../services/common/exec.ts';
import {sha256File} from '../../services/common/hash.ts';
import {
  createCa,
  createLeafKey,
  loadSigner,
  signLeaf,
} from '../../services/provisioner/enrolment/certificates.ts';
import {block, makeImage, type TestImage} from '../support/payload-image.ts';
import {makeRepository} from '../vm/update/releases.ts';
import {startStandIn} from '../vm/update/stand-in-server.ts';

const MIB = 1024 * 1024;
const node = process.execPath;

const usrOf = (version: string) =>
  Buffer.concat([
    ...Array.from({length: 400}, (_, index) => block(index)),
    Buffer.from(version.padEnd(4096)),
  ]);

test('update, proof, return, an unhealthy release, fall-back: by the program of the image', async t => {
  t.timeout(240_000);
  if (process.getuid?.() !== 0) {
    t.log('SKIPPED: a mount namespace needs root');
    t.pass();
    return;
  }
  const root = await mkdtemp(join(tmpdir(), 'hawser-host-'));
  const undo: (() => Promise<unknown>)[] = [];
  t.teardown(async () => {
    for (const work of undo) await work();
    await rm(root, {recursive: true, force: true});
  });
  const write = async (path: string, text: string, mode = 0o644) => {
    await mkdir(dirname(join(root, path)), {recursive: true});
    await writeFile(join(root, path), text, {mode});
  };

  const images = new Map<string, TestImage>();
  for (const version of ['1.0.0', '1.1.0', '1.2.0'])
    images.set(
      version,
      await makeImage(root, version, usrOf(version), {'usr/lib/version': Buffer.from(version)}),
    );
  const imageOf = (version: string): TestImage => {
    const image = images.get(version);
    if (image === undefined) throw new Error(version);
    return image;
  };
  const repository = await makeRepository(root, AbortSignal.timeout(200_000));
  for (const version of ['1.1.0', '1.2.0']) {
    const image = imageOf(version);
    const file = async (path: string) => ({
      path,
      size: (await stat(path)).size,
      sha256: await sha256File(path),
    });
    const files = {
      usr: await file(image.usr),
      tree: await file(image.tree),
      uki: await file(image.uki),
      bootLoader: await file(image.bootLoader),
    };
    const {rootHash} = image;
    await repository.publish({
      name: 'hawser',
      version,
      rootHash,
      signed: true,
      locked: true,
      packages: [],
      files,
    });
  }

  const validity = {notBefore: new Date('2020-01-01'), notAfter: new Date('2099-01-01')};
  const ca = await createCa('a fleet', validity);
  const signer = await loadSigner(ca);
  const [serverKey, machineKey] = [await createLeafKey(), await createLeafKey()];
  const server = await startStandIn(
    {folder: root, note: line => t.log(line), teardown: work => void undo.push(work)},
    {
      repository: repository.folder,
      address: '127.0.0.1',
      port: 0,
      tls: {
        ca: ca.certificate,
        key: serverKey.key,
        certificate: await signLeaf(signer, {
          commonName: 'server',
          publicKey: serverKey.publicKey,
          use: ['server'],
          names: {dns: [], ip: ['127.0.0.1']},
          ...validity,
        }),
      },
    },
  );
  await write('tls/server-key.pem', machineKey.key);
  await write(
    'tls/server.pem',
    await signLeaf(signer, {
      commonName: 'machine',
      publicKey: machineKey.publicKey,
      use: ['client'],
      ...validity,
    }),
  );
  await write('hawser/fleet-ca.pem', ca.certificate);
  await write('hawser/tuf-root.json', Buffer.from(repository.root).toString('utf8'));
  await write(
    'hawser/update.json',
    JSON.stringify({
      server: `https://127.0.0.1:${server.ownPort}/`,
      drain: {leaveSeconds: 0, timeoutSeconds: 20},
      health: {timeoutSeconds: 10, settleSeconds: 0},
    }),
  );
  await write('hawser/health.d/50-version', '#!/bin/sh\n! grep -q 1.2.0 /usr/lib/os-release\n', 0o755);
  await write('hawser/drain.d/10-log', `#!/bin/sh\necho "hook $1" >> ${root}/calls\n`, 0o755);
  // What the host's own programs would do, written down. None of them is run.
  for (const name of ['systemctl', 'systemd-run'])
    await write(
      `bin/${name}`,
      `#!/bin/sh\ncase "$*" in list-units*) ;; *) echo "${name} $*" >> ${root}/calls ;; esac\n`,
      0o755,
    );

  const first = imageOf('1.0.0');
  await write('cmdline', '');
  await write('os-release', '');
  await write('boot_id', '');
  await write('class/disks/vda/size', String((64 * MIB) / 512));
  await write('class/disks/vda/queue/logical_block_size', '512');
  await write('class/dm-0/dm/name', 'usr\n');
  await mkdir(join(root, 'class/dm-0/slaves'));
  await symlink('disks/vda', join(root, 'class/vda'));
  for (const number of [1, 2, 3, 4, 5]) {
    await write(`class/disks/vda/vda${number}/partition`, String(number));
    await symlink(`disks/vda/vda${number}`, join(root, `class/vda${number}`));
  }
  for (const [name, size, from] of [
    ['vda', 64, undefined],
    ['vda2', 16, first.usr],
    ['vda3', 1, first.tree],
    ['vda4', 16, undefined],
    ['vda5', 1, undefined],
  ] as const) {
    await mkdir(join(root, 'disk'), {recursive: true});
    if (from === undefined) await writeFile(join(root, 'disk', name), '');
    else await copyFile(from, join(root, 'disk', name));
    await truncate(join(root, 'disk', name), size * MIB);
  }
  const uuids = slotPartitionUuids(first.rootHash);
  const table = [
    'label: gpt',
    `size=8MiB, type=${partitionType.esp}, name=ESP`,
    `size=16MiB, type=${partitionType.usr}, name=hawser_1.0.0, uuid=${uuids.data}`,
    `size=1MiB, type=${partitionType.usrVerity}, name=hawser_1.0.0_v, uuid=${uuids.tree}`,
    `size=16MiB, type=${partitionType.usr}, name=_empty`,
    `size=1MiB, type=${partitionType.usrVerity}, name=_empty`,
  ].join('\n');
  await exec(['sfdisk', '--quiet', join(root, 'disk/vda')], {timeoutMs: 20_000, input: table});
  for (const folder of ['Linux', 'systemd', 'BOOT'])
    await mkdir(join(root, 'boot/EFI', folder), {recursive: true});
  await copyFile(first.uki, join(root, 'boot/EFI/Linux/hawser_1.0.0.efi'));
  for (const place of ['systemd/systemd-bootx64.efi', 'BOOT/BOOTX64.EFI'])
    await copyFile(first.bootLoader, join(root, 'boot/EFI', place));
  await mkdir(join(root, 'var'));
  const bundles = await buildAgents(['update-agent'], process.cwd(), root, new AbortController().signal);

  const script = `set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/lay/eu /run/lay/ew /run/lay/vu /run/lay/vw /run/lay/dev
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/lay/eu,workdir=/run/lay/ew /etc
mount -t overlay overlay -o lowerdir=/var/lib,upperdir=/run/lay/vu,workdir=/run/lay/vw /var/lib
mkdir -p /etc/hawser /etc/docker/tls /var/lib/hawser
mount --bind ${root}/hawser /etc/hawser
mount --bind ${root}/tls /etc/docker/tls
mount --bind ${root}/var /var/lib/hawser
mount --bind ${root}/boot /boot
mount --bind ${root}/cmdline /proc/cmdline
mount --bind ${root}/boot_id /proc/sys/kernel/random/boot_id
mount --bind ${root}/os-release /usr/lib/os-release
mount --bind ${root}/class /sys/class/block
mount -t tmpfs tmpfs /run/lay/dev
for name in null zero urandom random; do cp -a /dev/$name /run/lay/dev/; done
for name in vda vda2 vda3 vda4 vda5; do ln -s ${root}/disk/$name /run/lay/dev/$name; done
mount --move /run/lay/dev /dev
export PATH=${root}/bin:$PATH
exec ${node} ${bundles['update-agent']} "$@"
`;
  await write('host.sh', script);
  const agent = async (word: string, okCodes = [0]) => {
    const argv = ['unshare', '--mount', 'sh', join(root, 'host.sh'), word];
    const {stdout, stderr} = await exec(argv, {timeoutMs: 60_000, okCodes});
    t.log(`${word}: ${stderr.trim().split('\n').at(-1)}`);
    return stdout;
  };
  const boot = async (version: string, data: number, number: number) => {
    await write('cmdline', `usrhash=${imageOf(version).rootHash} rw\n`);
    await write('os-release', `VERSION_ID=${version}\n`);
    await write('boot_id', `00000000-0000-4000-8000-00000000000${number}\n`);
    await rm(join(root, 'class/dm-0/slaves'), {recursive: true});
    await write(`class/dm-0/slaves/vda${data}`, '');
  };
  const entries = async () =>
    (await exec(['ls', join(root, 'boot/EFI/Linux')], {timeoutMs: 5000})).stdout.trim().split('\n');
  const count = (from: string, to: string) =>
    exec(['mv', join(root, 'boot/EFI/Linux', from), join(root, 'boot/EFI/Linux', to)], {timeoutMs: 5000});
  const calls = async () => {
    const text = await readFile(join(root, 'calls'), 'utf8').catch(() => '');
    await rm(join(root, 'calls'), {force: true});
    return text.trim().split('\n');
  };

  await boot('1.0.0', 2, 1);
  t.regex(await agent('status'), /version {3}1\.0\.0 \(slot a\)/);
  server.wanted = {action: 'apply', version: '1.1.0'};
  await agent('run');
  t.deepEqual(await entries(), ['hawser_1.0.0.efi', 'hawser_1.1.0+3.efi']);
  t.deepEqual(await calls(), ['hook drain', 'systemctl reboot --no-wall --no-block']);
  t.true(server.repositoryBytes > 0 && server.repositoryBytes < (await stat(imageOf('1.1.0').usr)).size / 4);
  const written = (await readFile(join(root, 'disk/vda4'))).subarray(0, usrOf('1.1.0').length);
  t.true(written.equals(usrOf('1.1.0')));

  await count('hawser_1.1.0+3.efi', 'hawser_1.1.0+2-1.efi');
  await boot('1.1.0', 4, 2);
  await agent('verdict');
  t.true(await stat(join(root, 'var/update/draining')).then(() => true), 'still out of service');
  await agent('run');
  t.deepEqual(await entries(), ['hawser_1.0.0.efi', 'hawser_1.1.0.efi']);
  t.deepEqual(server.lock, [
    'acquire 1.0.0 1.1.0',
    'phase draining',
    'phase rebooting',
    'phase proving',
    'phase returning',
    'release 1.1.0',
  ]);
  t.like(await calls(), ['systemctl start --no-block hawser-update.service', 'hook return']);
  await t.throwsAsync(stat(join(root, 'var/update/draining')), {code: 'ENOENT'});

  server.wanted = {action: 'apply', version: '1.2.0'};
  await agent('run');
  await count('hawser_1.2.0+3.efi', 'hawser_1.2.0+2-1.efi');
  await boot('1.2.0', 2, 3);
  await calls();
  const gate = exec(['timeout', '30', 'unshare', '--mount', 'sh', join(root, 'host.sh'), 'verdict'], {
    timeoutMs: 60_000,
    okCodes: [1, 124],
  });
  for (let waited = 0; waited < 60 && !(await entries()).includes('hawser_1.2.0+0-1.efi'); waited += 1)
    await new Promise(resolve => setTimeout(resolve, 500));
  t.deepEqual(await entries(), ['hawser_1.1.0.efi', 'hawser_1.2.0+0-1.efi'], 'marked bad');
  await gate;
  t.deepEqual(await calls(), ['systemctl reboot --no-wall --no-block']);

  await boot('1.1.0', 4, 4);
  await agent('run');
  t.deepEqual(await entries(), ['hawser_1.1.0.efi']);
  t.is(server.lock.at(-1), 'release 1.1.0');
  t.like(server.checks.at(-1)?.failed, [{version: '1.2.0', reason: 'unhealthy'}]);
  const acquired = server.lock.length;
  await agent('check');
  t.is(server.lock.length, acquired, 'not tried again');
  t.regex(await agent('history'), /fell-back {2}1\.2\.0 {2}the check 50-version failed/);
});
