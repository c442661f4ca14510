/** Rules over several fields for disks, RAID, filesystems and LUKS, as Ignition has them. */
import {errorAt, written, type CheckContext} from './check-context.ts';
import type {Disk, Filesystem, Luks, Partition, Raid, Storage} from './ignition-schema.ts';

/** Longest label in bytes, from the manuals of the mkfs programs. */
const LABEL_BYTES = new Map([
  ['ext4', 16],
  ['btrfs', 256],
  ['xfs', 12],
  ['swap', 15],
  ['vfat', 11],
]);
const LUKS_LABEL_BYTES = 47;
const STRIPED = ['linear', 'raid0', '0', 'stripe'];
const RAID_LEVELS = [
  ...STRIPED,
  'raid1',
  '1',
  'mirror',
  'raid4',
  '4',
  'raid5',
  '5',
  'raid6',
  '6',
  'raid10',
  '10',
];

export function checkDisks(storage: Storage, context: CheckContext): void {
  for (const disk of storage.disks ?? []) checkDisk(disk, context);
  for (const raid of storage.raid ?? []) checkRaid(raid, context);
  for (const filesystem of storage.filesystems ?? []) checkFilesystem(filesystem, context);
  for (const luks of storage.luks ?? []) checkLuks(luks, context);
}

function checkDisk(disk: Disk, context: CheckContext): void {
  const partitions = disk.partitions ?? [];
  for (const partition of partitions) checkPartition(partition, context);
  checkLabels(partitions, context);
  checkOverlap(partitions, context);
  const removes = partitions.some(partition => partition.shouldExist === false);
  const floating = partitions.find(partition => (partition.number ?? 0) === 0);
  if (removes && floating !== undefined) {
    const rule = `${written(context, 'shouldExist')}: false`;
    errorAt(
      context,
      floating,
      undefined,
      `where a partition of the disk has ${rule}, every partition needs a number`,
    );
  }
}

function checkPartition(partition: Partition, context: CheckContext): void {
  if ((partition.number ?? 0) === 0 && partition.label === undefined) {
    errorAt(context, partition, undefined, 'a partition needs a number (1 or more) or a label');
  }
  if (partition.shouldExist !== false) return;
  for (const name of ['label', 'typeGuid', 'guid', 'startMiB', 'sizeMiB'] as const) {
    if (partition[name] === undefined || partition[name] === '') continue;
    const rule = `${written(context, 'shouldExist')} is false`;
    errorAt(context, partition, name, `"${written(context, name)}" cannot be given where ${rule}`);
  }
}

/** Keys of numbered partitions are their numbers, so labels are compared apart. */
function checkLabels(partitions: readonly Partition[], context: CheckContext): void {
  const seen = new Map<string, Partition>();
  for (const partition of partitions) {
    if (partition.label === undefined) continue;
    const first = seen.get(partition.label);
    if (first === undefined) seen.set(partition.label, partition);
    else if ((first.number ?? 0) !== 0 || (partition.number ?? 0) !== 0) {
      const line = context.marks.at(first, 'label').line;
      errorAt(
        context,
        partition,
        'label',
        `duplicate partition label "${partition.label}", already on line ${line}`,
      );
    }
  }
}

function checkOverlap(partitions: readonly Partition[], context: CheckContext): void {
  const placed = partitions.flatMap(partition => {
    const {startMiB, sizeMiB} = partition;
    if (startMiB === undefined || startMiB === 0 || sizeMiB === undefined) return [];
    // A size of 0 takes what is free: only its start is known.
    return [{partition, start: startMiB, end: sizeMiB === 0 ? startMiB : startMiB + sizeMiB - 1}];
  });
  for (const [index, one] of placed.entries()) {
    const other = placed
      .slice(0, index)
      .find(earlier => one.start <= earlier.end && earlier.start <= one.end);
    if (other === undefined) continue;
    const line = context.marks.at(other.partition).line;
    errorAt(context, one.partition, 'startMiB', `the partition overlaps the one on line ${line}`);
  }
}

function checkRaid(raid: Raid, context: CheckContext): void {
  if (raid.name === '') errorAt(context, raid, 'name', 'the name is empty');
  if ((raid.devices ?? []).length === 0) errorAt(context, raid, 'devices', 'a RAID array needs devices');
  const level = raid.level ?? '';
  if (level === '') errorAt(context, raid, 'level', 'missing field "level"');
  else if (!RAID_LEVELS.includes(level)) {
    errorAt(
      context,
      raid,
      'level',
      `"${level}" is not a RAID level (linear, raid0, raid1, raid4, raid5, raid6, raid10)`,
    );
  } else if (STRIPED.includes(level) && (raid.spares ?? 0) > 0) {
    errorAt(context, raid, 'spares', `${level} arrays have no spares`);
  }
}

function checkFilesystem(filesystem: Filesystem, context: CheckContext): void {
  if (filesystem.format === undefined || filesystem.format === '') {
    errorAt(context, filesystem, 'format', 'missing field "format"');
    return;
  }
  const limit = LABEL_BYTES.get(filesystem.format);
  if (limit !== undefined && byteLength(filesystem.label) > limit) {
    errorAt(context, filesystem, 'label', `${filesystem.format} labels have at most ${limit} characters`);
  }
}

function checkLuks(luks: Luks, context: CheckContext): void {
  if (luks.name === '') errorAt(context, luks, 'name', 'the name is empty');
  if ((luks.device ?? '') === '') errorAt(context, luks, 'device', 'missing field "device"');
  if (byteLength(luks.label) > LUKS_LABEL_BYTES) {
    errorAt(context, luks, 'label', `LUKS labels have at most ${LUKS_LABEL_BYTES} characters`);
  }
  const {clevis} = luks;
  if (clevis === undefined) return;
  for (const tang of clevis.tang ?? []) {
    if ((tang.thumbprint ?? '') === '') errorAt(context, tang, 'thumbprint', 'missing field "thumbprint"');
  }
  const {custom} = clevis;
  if (custom === undefined || (!custom.pin && !custom.config && custom.needsNetwork !== true)) return;
  if (!custom.pin) errorAt(context, custom, 'pin', 'missing field "pin"');
  if (!custom.config) errorAt(context, custom, 'config', 'missing field "config"');
  if ((clevis.tang ?? []).length > 0 || clevis.tpm2 === true || (clevis.threshold ?? 0) > 0) {
    errorAt(context, clevis, 'custom', '"custom" excludes tang, tpm2 and threshold');
  }
}

function byteLength(text: string | undefined): number {
  return new TextEncoder().encode(text ?? '').length;
}
