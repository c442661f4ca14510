/**
 * A host for the bundle that goes into the image: a mount namespace in which disk, slots, ESP and kernel facts are files,
 * with a signed repository, real payloads and a server over mutual TLS. Reboots are played. Needs root.
 */
import {
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {buildAgents} from '../../image-build/steps/agents.ts';
import {partitionType, slotPartitionUuids} from '../../services/common/contracts/slots.ts';
import {serverStableName} from '../../services/common/contracts/server.ts';
import {exec, type ExecResult} from '../../services/common/exec.ts';
import {sha256File} from '../../services/common/hash.ts';
import {
  createCa,
  createLeafKey,
  loadSigner,
  signLeaf,
} from '../../services/provisioner/enrolment/certificates.ts';
import {block, makeImage, type TestImage} from '../support/payload-image.ts';
import {makeRepository} from '../vm/update/releases.ts';
import {startStandIn, type StandIn, type StandInOptions} from '../vm/update/stand-in-server.ts';

const MIB = 1024 * 1024;
const node = process.execPath;

const usrOf = (version: string) =>
  Buffer.concat([
    ...Array.from({length: 400}, (_, index) => block(index)),
    Buffer.from(version.padEnd(4096)),
  ]);

export interface PlayedHost {
  /** Folder of all that belongs to it. */
  readonly root: string;
  readonly server: StandIn;
  /** Folder of the signed repository, with the releases 1.1.0 and 1.2.0. */
  readonly repository: string;
  /** Signs its metadata anew. */
  readonly refresh: () => Promise<void>;
  readonly image: (version: string) => TestImage;
  readonly usr: (version: string) => Buffer;
  /** Writes a file below `root`. */
  readonly write: (path: string, text: string, mode?: number) => Promise<void>;
  /** Runs the agent's program with one word; returns what it printed. `prelude` runs in the namespace before it. */
  readonly agent: (word: string, options?: AgentOptions) => Promise<ExecResult>;
  /** As after a boot of `version` from the partition with that number. `number` names the boot. */
  readonly boot: (version: string, partition: number, number: number) => Promise<void>;
  /** Names in EFI/Linux. */
  readonly entries: () => Promise<string[]>;
  /** The loader counts down: a file of EFI/Linux gets another name. */
  readonly count: (from: string, to: string) => Promise<void>;
  /** What the agent had the host's programs and hooks do since the last call. */
  readonly calls: () => Promise<string[]>;
  /** A disk, an ESP and a memory as on the day of the installation of 1.0.0. */
  readonly reset: () => Promise<void>;
}

export interface AgentOptions {
  readonly okCodes?: readonly number[];
  /** Lines of shell. */
  readonly prelude?: string;
}

export interface HostOptions {
  readonly log: (line: string) => void;
  /** Registers what is to be undone at the end. */
  readonly after: (work: () => Promise<unknown>) => void;
  readonly onRepository?: StandInOptions['onRepository'];
}

export async function playHost({log, after, onRepository}: HostOptions): Promise<PlayedHost> {
  const root = await mkdtemp(join(tmpdir(), 'hawser-host-'));
  const undo: (() => Promise<unknown>)[] = [];
  after(async () => {
    for (const work of undo.toReversed()) await work();
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
    {folder: root, note: line => log(line), teardown: work => void undo.push(work)},
    {
      repository: repository.folder,
      ...(onRepository === undefined ? {} : {onRepository}),
      address: '127.0.0.1',
      port: 0,
      tls: {
        ca: ca.certificate,
        key: serverKey.key,
        certificate: await signLeaf(signer, {
          commonName: 'server',
          publicKey: serverKey.publicKey,
          use: ['server'],
          names: {dns: [serverStableName], ip: ['127.0.0.1']},
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
[ ! -f ${root}/prelude ] || . ${root}/prelude
exec ${node} ${bundles['update-agent']} "$@"
`;
  await write('host.sh', script);
  const agent: PlayedHost['agent'] = async (word, {okCodes = [0], prelude = ''} = {}) => {
    await write('prelude', prelude);
    const argv = ['unshare', '--mount', 'sh', join(root, 'host.sh'), word];
    const result = await exec(argv, {timeoutMs: 60_000, okCodes});
    log(`${word}: ${result.stderr.trim().split('\n').at(-1)}`);
    return result;
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
    rename(join(root, 'boot/EFI/Linux', from), join(root, 'boot/EFI/Linux', to));
  const calls = async () => {
    const text = await readFile(join(root, 'calls'), 'utf8').catch(() => '');
    await rm(join(root, 'calls'), {force: true});
    return text.trim().split('\n');
  };

  const reset = async () => {
    for (const folder of ['disk', 'boot', 'var']) {
      await rm(join(root, folder), {recursive: true, force: true});
      await mkdir(join(root, folder));
    }
    for (const [name, size, from] of [
      ['vda', 64, undefined],
      ['vda2', 16, first.usr],
      ['vda3', 1, first.tree],
      ['vda4', 16, undefined],
      ['vda5', 1, undefined],
    ] as const) {
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
    await calls();
    server.wanted = undefined;
    server.lock.length = 0;
    server.checks.length = 0;
    server.repositoryBytes = 0;
    await boot('1.0.0', 2, 1);
  };
  await reset();
  return {
    root,
    server,
    repository: repository.folder,
    refresh: () => repository.refresh(),
    image: imageOf,
    usr: usrOf,
    write,
    agent,
    boot,
    entries,
    count,
    calls,
    reset,
  };
}
