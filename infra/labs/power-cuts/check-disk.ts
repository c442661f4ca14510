/** The verdict on a disk that a power cut left, without booting it: whatever boots next must be a whole release. */
import {slotPartitionUuids} from '../../../services/common/contracts/slots.ts';
import {sliceSource, type ByteSource} from '../../../services/common/formats/byte-source.ts';
import {openFat, type Fat} from '../../../image-build/formats/fat.ts';
import {entriesFit, parseHeader, partitionsOf} from '../../../services/update-agent/gpt-edit.ts';
import type {PartitionFact} from '../../../services/update-agent/slots.ts';
import {parseUkiName, type UkiFile} from '../../../services/update-agent/uki-names.ts';
import type {Layout} from './areas.ts';
import {bootOrder} from './boot-choice.ts';
import {sha256, type KnownRelease} from './releases.ts';

export interface DiskVerdict {
  /** What the loader takes first; undefined when nothing would boot. */
  readonly boots:
    {readonly version: string; readonly rootHash: string; readonly onTrial: boolean} | undefined;
  /** Names in EFI/Linux that are ours. */
  readonly files: readonly UkiFile[];
  readonly partitions: readonly PartitionFact[];
  /** Each of them breaks the promise. */
  readonly problems: readonly string[];
  /** What is not as it was and harms nothing by itself: counted, for the reader. */
  readonly remarks: readonly string[];
}

export interface CheckContext {
  readonly layout: Layout;
  readonly releases: readonly KnownRelease[];
  /** Whether slot 0 or 1 holds exactly the release, on this very disk. */
  readonly slotHolds: (slot: 0 | 1, release: KnownRelease) => Promise<boolean>;
}

const SECTOR = 512;

export async function checkDisk(disk: ByteSource, context: CheckContext): Promise<DiskVerdict> {
  const problems: string[] = [];
  const remarks: string[] = [];
  const partitions = await effectiveTable(disk, context, problems, remarks);
  const {offset, size} = context.layout.esp;
  const esp = await readEsp(sliceSource(disk, offset, size), problems, remarks);
  if (esp === undefined) return {boots: undefined, files: [], partitions, problems, remarks};
  await checkLoader(esp.fat, context.releases, problems, remarks);

  const order = bootOrder(esp.files);
  const whole = async (file: UkiFile): Promise<string | undefined> => {
    const release = context.releases.find(one => one.version === file.version);
    if (release === undefined) return `${file.name} is of a release that was never here`;
    const content = await readWhole(esp.fat, `EFI/Linux/${file.name}`);
    if (content === undefined) return `${file.name} cannot be read`;
    if (sha256(content) !== release.ukiSha256) return `${file.name} is not the release's`;
    const slot = slotNamed(partitions, context.layout, release.rootHash);
    if (slot === undefined) return `no slot is named as ${release.version}'s`;
    return (await context.slotHolds(slot, release))
      ? undefined
      : `the slot of ${release.version} is not whole`;
  };
  const [first, ...others] = order;
  if (first === undefined) {
    problems.push('no boot entry is there');
    return {boots: undefined, files: esp.files, partitions, problems, remarks};
  }
  const wrong = await whole(first);
  if (wrong !== undefined) problems.push(`what boots is not whole: ${wrong}`);
  const onTrial = first.tries !== undefined;
  const broken: string[] = [];
  let wayBack = false;
  for (const file of others) {
    const why = await whole(file);
    if (why !== undefined) broken.push(why);
    else if (file.version !== first.version) wayBack = true;
  }
  if (onTrial && !wayBack)
    problems.push(`${first.name} is on trial, and there is no other release to fall back to`);
  if (broken.length > 0) remarks.push('an entry behind the first one is not whole');
  const release = context.releases.find(one => one.version === first.version);
  return {
    boots:
      wrong === undefined && release
        ? {version: release.version, rootHash: release.rootHash, onTrial}
        : undefined,
    files: esp.files,
    partitions,
    problems,
    remarks,
  };
}

/** As firmware and kernel take it (`gpt` on the command line): the primary copy, else the backup. */
async function effectiveTable(
  disk: ByteSource,
  {layout}: CheckContext,
  problems: string[],
  remarks: string[],
): Promise<readonly PartitionFact[]> {
  const copies = [await readCopy(disk, 1), await readCopy(disk, disk.size / SECTOR - 1)];
  const [primary, backup] = copies;
  if (primary === undefined) remarks.push('the primary partition table is torn');
  if (backup === undefined) remarks.push('the backup partition table is torn');
  const table = primary ?? backup;
  if (table === undefined) {
    problems.push('neither partition table is whole');
    return [];
  }
  if (primary !== undefined && backup !== undefined && JSON.stringify(primary) !== JSON.stringify(backup))
    remarks.push('the partition tables are of two times');
  const same = layout.partitions.every(
    (one, index) =>
      table[index]?.type === one.type &&
      table[index].firstLba === one.firstLba &&
      table[index].sectors === one.lastLba - one.firstLba + 1,
  );
  if (!same || table.length !== layout.partitions.length) problems.push('a partition has moved');
  return table;
}

async function readCopy(disk: ByteSource, lba: number): Promise<PartitionFact[] | undefined> {
  const header = parseHeader(await disk.read(lba * SECTOR, SECTOR), lba);
  if (header === undefined) return undefined;
  const length = header.entryCount * header.entrySize;
  if (header.entriesLba * SECTOR + length > disk.size) return undefined;
  const entries = await disk.read(header.entriesLba * SECTOR, length);
  return entriesFit(header, entries) ? partitionsOf({header, entries}) : undefined;
}

function slotNamed(
  partitions: readonly PartitionFact[],
  layout: Layout,
  rootHash: string,
): 0 | 1 | undefined {
  const uuids = slotPartitionUuids(rootHash);
  for (const index of [0, 1] as const) {
    const slot = layout.slots[index];
    const uuid = (number: number | undefined) => partitions.find(one => one.number === number)?.uuid;
    if (uuid(slot?.data.number) === uuids.data && uuid(slot?.tree.number) === uuids.tree) return index;
  }
  return undefined;
}

async function readEsp(
  partition: ByteSource,
  problems: string[],
  remarks: string[],
): Promise<{fat: Fat; files: readonly UkiFile[]} | undefined> {
  try {
    const fat = await openFat(partition);
    const entries = await fat.list('EFI/Linux');
    const ours = entries.flatMap(entry => {
      const file = parseUkiName(entry.name);
      return file === undefined ? [] : [file];
    });
    const clusters = entries.filter(entry => !entry.folder && entry.cluster !== 0).map(one => one.cluster);
    if (new Set(clusters).size < clusters.length) remarks.push('one file has two names');
    return {fat, files: ours};
  } catch (error) {
    problems.push(`the ESP cannot be read: ${String(error)}`);
    return undefined;
  }
}

async function checkLoader(
  fat: Fat,
  releases: readonly KnownRelease[],
  problems: string[],
  remarks: string[],
): Promise<void> {
  const known = async (path: string) => {
    const content = await readWhole(fat, path);
    return content !== undefined && releases.some(one => one.loaderSha256 === sha256(content));
  };
  if (!(await known('EFI/BOOT/BOOTX64.EFI'))) problems.push('the boot loader in EFI/BOOT is not whole');
  if (!(await known('EFI/systemd/systemd-bootx64.efi')))
    remarks.push('the boot loader in EFI/systemd is not whole');
  if ((await readWhole(fat, 'loader/loader.conf')) === undefined)
    problems.push('the configuration of the boot loader is gone');
}

async function readWhole(fat: Fat, path: string): Promise<Uint8Array | undefined> {
  try {
    const file = await fat.file(path);
    return await file.read(0, file.size);
  } catch {
    return undefined; // a damaged chain, or no such file: the caller says what that means
  }
}
