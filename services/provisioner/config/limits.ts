/**
 * What a Hawser machine cannot do, whatever the specification allows. The first boot would fail on it, so it is
 * said here, with the reason.
 */
import {partitionType, emptySlotLabel} from '../../common/contracts/slots.ts';
import {errorAt, written, type CheckContext} from './check-context.ts';
import type {VariantName} from './butane-schema.ts';
import type {Disk, Filesystem, IgnitionConfig, Partition, Storage} from './ignition-schema.ts';

/** Hawser's own first-boot file: the machine's name and single-use token. */
export const enrolmentPath = '/etc/hawser/enrolment.json';

/** The image's partitions, by the names that appear under /dev/disk/by-partlabel. */
const IMAGE_LABEL = /^(?:hawser[-_].*|esp)$/iu;
const IMAGE_TYPES: readonly string[] = Object.values(partitionType);
/** What the kernel calls the first disk of each kind, which is mostly the one that was booted from. */
const FIRST_DISK = /^\/dev\/(?:sda|vda|xvda|hda|nvme0n1|mmcblk0)$/u;
const BOOT_DISK_ALIAS = '/dev/disk/by-id/coreos-boot-disk';
/** Devices that the boot chain has opened itself. */
const SYSTEM_DEVICE =
  /^\/dev\/(?:mapper\/(?:usr|root)(?:-verity)?|gpt-auto-root|gpt-auto-root-luks|disk\/by-designator\/.*)$/u;

const READ_ONLY = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];
const SYSTEM_MOUNTS = ['/', '/usr', '/etc', '/boot', '/efi'];
const STATE_FOLDER = '/var/lib/hawser';
const VOLATILE = ['/dev', '/proc', '/run', '/sys', '/tmp'];

/** Reports what of `config` a machine would not carry out; `variant` is undefined for Ignition JSON. */
export function checkLimits(
  config: IgnitionConfig,
  variant: VariantName | undefined,
  context: CheckContext,
): void {
  checkKernelArguments(config, context);
  const {storage} = config;
  if (storage === undefined) return;
  checkPaths(storage, context);
  for (const disk of storage.disks ?? []) checkBootDisk(disk, variant, context);
  checkDevices(storage, context);
  checkTools(storage, variant, context);
}

function checkKernelArguments(config: IgnitionConfig, context: CheckContext): void {
  const wanted = config.kernelArguments;
  for (const name of ['shouldExist', 'shouldNotExist'] as const) {
    const list = wanted?.[name] ?? [];
    if (wanted === undefined || list.length === 0) continue;
    const reason =
      'the kernel command line is part of the signed boot image, so it is the same on every machine';
    errorAt(context, wanted, name, `kernel arguments cannot be changed: ${reason}`);
  }
}

function checkPaths(storage: Storage, context: CheckContext): void {
  const {files = [], directories = [], links = [], filesystems = []} = storage;
  for (const filesystem of filesystems) checkMountPoint(filesystem, context);
  const mounted = filesystems.map(filesystem => filesystem.path ?? '').filter(path => path !== '');
  for (const directory of directories) checkPath(directory, true, mounted, context);
  for (const node of [...files, ...links]) checkPath(node, false, mounted, context);
}

function checkPath(
  node: {path: string},
  directory: boolean,
  mounted: readonly string[],
  context: CheckContext,
): void {
  const {path} = node;
  const reserved = reservedReason(path, directory);
  if (reserved !== undefined) errorAt(context, node, 'path', reserved);
  if (isUnder(path, mounted)) return;
  if (isUnder(path, READ_ONLY)) {
    const reason = '/usr is read-only and verified';
    errorAt(context, node, 'path', `"${path}" cannot be written: ${reason}; use /opt, /etc or /var`);
  } else if (isUnder(path, VOLATILE)) {
    const message = `"${path}" is written in the first boot only: it is gone after a reboot`;
    context.report.warn(context.marks.at(node, 'path'), message);
  }
}

function checkMountPoint(filesystem: Filesystem, context: CheckContext): void {
  const path = filesystem.path ?? '';
  const owned = SYSTEM_MOUNTS.includes(path) || reservedReason(path, false) !== undefined;
  if (owned)
    errorAt(context, filesystem, 'path', `"${path}" is mounted by the image itself; mount it elsewhere`);
}

/** Why nobody but Hawser writes `path`, or undefined. A directory above Hawser's files does no harm. */
export function reservedReason(path: string, directory: boolean): string | undefined {
  if (!path.startsWith('/')) return undefined;
  if (isUnder(path, [enrolmentPath])) return `"${path}" is written by Hawser: it lets the machine enrol`;
  if (isUnder(path, [STATE_FOLDER])) return `"${path}" belongs to Hawser, which keeps its state there`;
  if (!directory && [enrolmentPath, STATE_FOLDER].some(own => isUnder(own, [path]))) {
    return `"${path}" must stay a directory: Hawser's own files are below it`;
  }
  return undefined;
}

function isUnder(path: string, folders: readonly string[]): boolean {
  return folders.some(folder => path === folder || path.startsWith(`${folder}/`));
}

function checkBootDisk(disk: Disk, variant: VariantName | undefined, context: CheckContext): void {
  if (disk.device === BOOT_DISK_ALIAS) {
    errorAt(context, disk, 'device', `"${disk.device}" exists on Fedora CoreOS only; ${OWNED}`);
  } else if (FIRST_DISK.test(disk.device)) {
    const message = `"${disk.device}" is mostly the disk that was booted from, and ${OWNED}; name a data disk by /dev/disk/by-id or by-path`;
    if (variant === 'hawser') errorAt(context, disk, 'device', message);
    else context.report.warn(context.marks.at(disk, 'device'), message);
  }
  for (const partition of disk.partitions ?? []) checkPartition(partition, context);
}

const OWNED = 'the partition table of the boot disk belongs to the image';

function checkPartition(partition: Partition, context: CheckContext): void {
  const type = partition.typeGuid?.toLowerCase();
  if (type !== undefined && IMAGE_TYPES.includes(type)) {
    errorAt(context, partition, 'typeGuid', `this partition type is the boot chain's own, and ${OWNED}`);
  }
  if (partition.label !== undefined && isImageLabel(partition.label)) {
    errorAt(context, partition, 'label', `the label "${partition.label}" is the image's own, and ${OWNED}`);
  }
}

function checkDevices(storage: Storage, context: CheckContext): void {
  const uses: [object, string | number, string][] = [
    ...(storage.filesystems ?? []).map((one): [object, string, string] => [one, 'device', one.device]),
    ...(storage.luks ?? []).map((one): [object, string, string] => [one, 'device', one.device ?? '']),
    ...(storage.raid ?? []).flatMap(({devices = []}) =>
      devices.map((device, index): [object, number, string] => [devices, index, device]),
    ),
  ];
  for (const [owner, field, device] of uses) {
    const label = /^\/dev\/disk\/by-partlabel\/(.*)$/u.exec(device)?.[1];
    const typed = /^\/dev\/disk\/by-parttypeuuid\/(.*)$/u.exec(device)?.[1]?.toLowerCase();
    const owned =
      SYSTEM_DEVICE.test(device) ||
      (label !== undefined && isImageLabel(label)) ||
      (typed !== undefined && IMAGE_TYPES.includes(typed));
    if (owned)
      errorAt(
        context,
        owner,
        field,
        `"${device}" is a partition of the image; use a disk or partition of your own`,
      );
  }
}

function isImageLabel(label: string): boolean {
  return label === emptySlotLabel || IMAGE_LABEL.test(label);
}

/** Programs that the stock image does not carry; an image with them may be built, so these only warn. */
function checkTools(storage: Storage, variant: VariantName | undefined, context: CheckContext): void {
  for (const filesystem of storage.filesystems ?? []) {
    if (filesystem.format !== 'btrfs') continue;
    const message = 'the stock image has no mkfs.btrfs, so the first boot would fail; use ext4 or xfs';
    context.report.warn(context.marks.at(filesystem, 'format'), message);
  }
  for (const luks of storage.luks ?? []) {
    const message = 'the stock image has no cryptsetup, so the first boot would fail';
    context.report.warn(context.marks.at(luks), message);
    // Butane: flatcar 1.0 has no clevis; `hawser` has flatcar's fields.
    if (luks.clevis !== undefined && (variant === 'flatcar' || variant === 'hawser')) {
      errorAt(context, luks, 'clevis', `"${written(context, 'clevis')}" is not part of variant ${variant}`);
    }
  }
}
