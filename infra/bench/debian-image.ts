/** A Debian cloud-style image, made by the tools that make Hawser's: resolver, store, mmdebstrap, systemd-repart. */
import {chmod, cp, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {openApt} from '../../image-build/packages/apt.ts';
import {fetchPackages} from '../../image-build/packages/fetch.ts';
import type {Mirrors} from '../../image-build/packages/mirrors.ts';
import {writeRepository} from '../../image-build/packages/repository.ts';
import {openStore} from '../../image-build/packages/store.ts';
import {buildEnvironment, execInRoot, privateNamespaces} from '../../image-build/tools-root.ts';
import {exec} from '../../services/common/exec.ts';
import {sha256} from '../../services/common/hash.ts';
import {withStep, type Progress} from '../../services/common/progress.ts';
import {debianPackages} from './debian-packages.ts';
import {markerUnit, markerUnitName} from './marker.ts';

const INSTALL_TIMEOUT_MS = 1_200_000;
const TOOL_TIMEOUT_MS = 600_000;
const DISK_BYTES = 4 * 1024 ** 3;
/** What the partition table, the ESP and alignment leave. */
const ROOT_BYTES = DISK_BYTES - 128 * 1024 ** 2;
/** Raised when the way this image is made changes. */
const FORMAT = 2;

const rootPartition = '7b3e6a5c-0d0f-4f6e-9d25-6c1f3a5b8e01';

export interface DebianInput {
  readonly cache: string;
  readonly mirrors: Mirrors;
  readonly toolsRoot: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface DebianImage {
  readonly folder: string;
  readonly raw: string;
  readonly qcow2: string;
  readonly usrBytes: number;
  readonly kernelBytes: number;
  readonly packages: number;
}

/** The image, from the cache when it is there: then neither network nor build is needed. */
export async function ensureDebianImage(input: DebianInput): Promise<DebianImage> {
  const key = sha256(JSON.stringify([FORMAT, debianPackages, markerUnit, DISK_BYTES, files])).slice(0, 16);
  const folder = join(input.cache, 'bench', `debian-${key}`);
  if ((await stat(folder).catch(() => undefined)) === undefined) await build(input, folder);
  const facts: unknown = JSON.parse(await readFile(join(folder, 'facts.json'), 'utf8'));
  const number = (name: string) => Number(Object.entries(facts ?? {}).find(([key]) => key === name)?.[1]);
  return {
    folder,
    raw: join(folder, 'disk.raw'),
    qcow2: join(folder, 'disk.qcow2'),
    usrBytes: number('usrBytes'),
    kernelBytes: number('kernelBytes'),
    packages: number('packages'),
  };
}

async function build(input: DebianInput, folder: string): Promise<void> {
  const {progress, signal} = input;
  await mkdir(join(input.cache, 'bench'), {recursive: true});
  const work = await mkdtemp(join(input.cache, 'bench', '.debian-'));
  try {
    const packages = await withStep(progress, 'Debian: resolve', () => resolve(input));
    const store = openStore(join(input.cache, 'store'));
    await withStep(progress, 'Debian: packages', step =>
      fetchPackages(store, input.mirrors, packages, step, signal),
    );
    const root = join(work, 'root');
    await withStep(progress, 'Debian: install', async () => {
      await writeRepository(join(work, 'repository'), store, packages, signal);
      const include = packages.map(({name, version}) => `${name}=${version}`).join(',');
      await install(join(work, 'repository'), root, include, signal);
    });
    await withStep(progress, 'Debian: disk', async () => {
      await configure(root, input);
      await makeDisk(work, input);
      await convert(join(work, 'disk.raw'), join(work, 'disk.qcow2'), signal);
      const facts = {...(await measureRoot(root, signal)), packages: packages.length};
      await writeFile(join(work, 'facts.json'), JSON.stringify(facts));
    });
    for (const name of ['root', 'root.ext4', 'repository', 'esp', 'repart.d'])
      await rm(join(work, name), {recursive: true, force: true});
    await chmod(work, 0o755);
    await rename(work, folder);
  } finally {
    await rm(work, {recursive: true, force: true});
  }
}

async function resolve(input: DebianInput) {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-bench-apt-'));
  try {
    const suites = ['trixie', 'trixie-updates', 'trixie-security'];
    const apt = await openApt(folder, {mirrors: input.mirrors, suites, components: ['main']}, input.signal);
    return await apt.closure(debianPackages);
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

async function install(
  repository: string,
  root: string,
  include: string,
  signal: AbortSignal,
): Promise<void> {
  const mmdebstrap = [
    'mmdebstrap',
    '--mode=root',
    '--variant=custom',
    '--format=directory',
    '--architectures=amd64',
    `--include=${include}`,
    '--aptopt=Apt::Install-Recommends "false"',
    '--dpkgopt=force-unsafe-io',
    'trixie',
    root,
    `deb [trusted=yes] copy:${repository} ./`,
  ];
  // as Hawser's own roots are made: what it mounts goes with it, whatever happens
  await exec(
    [...privateNamespaces, '--net', '--', 'sh', '-c', 'umask 022; exec "$@"', 'bootstrap', ...mmdebstrap],
    {
      timeoutMs: INSTALL_TIMEOUT_MS,
      signal,
      env: {...buildEnvironment, DEBIAN_FRONTEND: 'noninteractive'},
    },
  );
}

/** Small files that Debian's image build writes: sources of the boot parameters are its grub.d snippets. */
const files: Readonly<Record<string, string>> = {
  'etc/fstab': `PARTUUID=${rootPartition} / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1\n`,
  'etc/hostname': 'localhost\n',
  'etc/hosts': '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n',
  'etc/machine-id': '',
  'etc/cloud/cloud.cfg.d/01_debian_cloud.cfg': 'apt: {preserve_sources_list: true}\nmanage_etc_hosts: true\n',
  'etc/apt/sources.list': 'deb http://ftp.debian.org/debian trixie main\n',
  [`etc/systemd/system/${markerUnitName}`]: markerUnit,
};

async function configure(root: string, input: DebianInput): Promise<void> {
  for (const name of await readdir(join(root, 'etc/ssh'))) {
    if (name.startsWith('ssh_host_')) await rm(join(root, 'etc/ssh', name));
  }
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(root, path, '..'), {recursive: true});
    await writeFile(join(root, path), text, {mode: 0o644});
  }
  const units = [
    'systemd-networkd.service',
    'systemd-resolved.service',
    'systemd-timesyncd.service',
    markerUnitName,
  ];
  await execInRoot({
    root,
    binds: {},
    argv: ['systemctl', 'enable', ...units],
    timeoutMs: TOOL_TIMEOUT_MS,
    signal: input.signal,
  });
  const boot = await readdir(join(root, 'boot'));
  const kernel = boot.find(name => name.startsWith('vmlinuz-')) ?? '';
  await mkdir(join(root, 'boot/grub'), {recursive: true});
  await mkdir(join(root, 'boot/efi'), {recursive: true});
  await writeFile(join(root, 'boot/grub/grub.cfg'), grubConfiguration(kernel));
}

function grubConfiguration(kernel: string): string {
  const parameters = 'console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0';
  return `set timeout=0
set default=0
menuentry 'Debian GNU/Linux' {
  insmod part_gpt
  insmod ext2
  search --no-floppy --set=root --label debian-root
  linux /boot/${kernel} root=PARTUUID=${rootPartition} ro ${parameters}
  initrd /boot/${kernel.replace('vmlinuz', 'initrd.img')}
}
`;
}

async function makeDisk(work: string, input: DebianInput): Promise<void> {
  const root = join(work, 'root');
  const esp = join(work, 'esp');
  await mkdir(join(esp, 'EFI/BOOT'), {recursive: true});
  await mkdir(join(esp, 'EFI/debian'), {recursive: true});
  await cp(join(root, 'usr/lib/shim/shimx64.efi.signed'), join(esp, 'EFI/BOOT/BOOTX64.EFI'));
  await cp(
    join(root, 'usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed'),
    join(esp, 'EFI/BOOT/grubx64.efi'),
  );
  const search =
    'search --no-floppy --set=root --label debian-root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n';
  await writeFile(join(esp, 'EFI/debian/grub.cfg'), search);

  // systemd-repart leaves /boot out of a root file system beside an ESP, so it only gets the finished blocks
  const run = (argv: readonly string[]) =>
    execInRoot({
      root: input.toolsRoot,
      binds: {[work]: '/build'},
      argv,
      // systemd-repart makes its file systems below /var/tmp of the tools root otherwise
      env: {TMPDIR: '/build'},
      timeoutMs: TOOL_TIMEOUT_MS,
      signal: input.signal,
    });
  const fileSystem = [
    '-q',
    '-L',
    'debian-root',
    '-d',
    '/build/root',
    '/build/root.ext4',
    `${ROOT_BYTES / 1024}k`,
  ];
  await run(['mkfs.ext4', ...fileSystem]);
  const definitions: Readonly<Record<string, readonly string[]>> = {
    '10-esp': ['Type=esp', 'Format=vfat', 'CopyFiles=/build/esp:/', 'SizeMinBytes=124M', 'SizeMaxBytes=124M'],
    '20-root': ['Type=root', 'Label=debian-root', `UUID=${rootPartition}`, 'CopyBlocks=/build/root.ext4'],
  };
  await mkdir(join(work, 'repart.d'));
  for (const [name, lines] of Object.entries(definitions)) {
    await writeFile(join(work, 'repart.d', `${name}.conf`), ['[Partition]', ...lines, ''].join('\n'));
  }
  const size = ['--empty=create', '--sector-size=512', `--size=${DISK_BYTES}`];
  const definitionFolder = '--definitions=/build/repart.d';
  await run([
    'systemd-repart',
    '--offline=yes',
    ...size,
    definitionFolder,
    '--dry-run=no',
    '/build/disk.raw',
  ]);
}

/** The same options as Hawser's exporter: decompression is the emulator's work and counts. */
async function convert(raw: string, qcow2: string, signal: AbortSignal): Promise<void> {
  const options = 'compression_type=zstd,cluster_size=2M,lazy_refcounts=off';
  const argv = ['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', '-c', '-o', options, raw, qcow2];
  await exec(argv, {timeoutMs: TOOL_TIMEOUT_MS, signal});
}

async function measureRoot(
  root: string,
  signal: AbortSignal,
): Promise<{usrBytes: number; kernelBytes: number}> {
  const {stdout} = await exec(['du', '-s', '-B1', join(root, 'usr')], {timeoutMs: TOOL_TIMEOUT_MS, signal});
  let kernelBytes = 0;
  for (const name of await readdir(join(root, 'boot'))) {
    if (/^(vmlinuz|initrd\.img)-/.test(name)) kernelBytes += (await stat(join(root, 'boot', name))).size;
  }
  return {usrBytes: Number(stdout.split('\t')[0]), kernelBytes};
}
