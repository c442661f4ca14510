/** The GPT disk, by systemd-repart without any privileged kernel feature. */
import {copyFile, lutimes, mkdir, writeFile} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {
  emptySlotLabel,
  slotLabel,
  slotPartitionUuids,
  slotTreeLabel,
  ukiFileName,
} from '../../services/common/contracts/slots.ts';
import {runTool, type BuildContext} from './context.ts';
import {walk} from './walk.ts';
import {slotBytes, treeBytes, type UsrImage} from './usr-image.ts';

const ESP_BYTES = 1024 ** 3;
const MIB = 1024 ** 2;
/** Before each partition 1 MiB alignment, and the two GPTs: root is made in what a larger disk adds. */
const DISK_BYTES = ESP_BYTES + 2 * (slotBytes + treeBytes) + 4 * MIB;

const loaderConfiguration = 'timeout 0\neditor no\nconsole-mode keep\n';

export interface DiskInput {
  readonly version: string;
  readonly image: UsrImage;
  readonly uki: string;
  readonly bootLoader: string;
  /** Folder of `PK.auth`, `KEK.auth` and `db.auth`: the loader enrols them where firmware is in setup mode. */
  readonly enrol: string | undefined;
}

/** Writes the disk (sparse) to `target`; everything that goes on it lies below `work`. */
export async function buildDisk(
  context: BuildContext,
  input: DiskInput,
  work: string,
  target: string,
): Promise<void> {
  await writeEsp(context, input, join(work, 'esp'));
  const definitions = join(work, 'repart.d');
  await mkdir(definitions);
  const uuids = slotPartitionUuids(input.image.rootHash);
  const fixed = (bytes: number) => [`SizeMinBytes=${bytes}`, `SizeMaxBytes=${bytes}`];
  const partitions: Record<string, readonly string[]> = {
    '10-esp': ['Type=esp', 'Label=ESP', 'Format=vfat', 'CopyFiles=/build/esp:/', ...fixed(ESP_BYTES)],
    '20-usr-a': [
      'Type=usr',
      `Label=${slotLabel(input.version)}`,
      `UUID=${uuids.data}`,
      'CopyBlocks=/build/usr.erofs',
      'ReadOnly=yes',
      ...fixed(slotBytes),
    ],
    '21-tree-a': [
      'Type=usr-verity',
      `Label=${slotTreeLabel(input.version)}`,
      `UUID=${uuids.tree}`,
      'CopyBlocks=/build/usr.verity',
      'ReadOnly=yes',
      ...fixed(treeBytes),
    ],
    '30-usr-b': ['Type=usr', `Label=${emptySlotLabel}`, 'ReadOnly=yes', ...fixed(slotBytes)],
    '31-tree-b': ['Type=usr-verity', `Label=${emptySlotLabel}`, 'ReadOnly=yes', ...fixed(treeBytes)],
  };
  for (const [name, lines] of Object.entries(partitions)) {
    await writeFile(join(definitions, `${name}.conf`), ['[Partition]', ...lines, ''].join('\n'));
  }
  // Binds go by folder, and a disk that is not handed out is made in the work folder itself.
  const folder = dirname(target);
  const inside = folder === work ? '/build' : '/out';
  await runTool(
    context,
    [
      'systemd-repart',
      '--offline=yes',
      '--empty=create',
      `--size=${DISK_BYTES}`,
      `--seed=${context.lock.seed}`,
      '--definitions=/build/repart.d',
      '--dry-run=no',
      `${inside}/${basename(target)}`,
    ],
    {[folder]: '/out', [work]: '/build'},
  );
}

async function writeEsp(context: BuildContext, input: DiskInput, esp: string): Promise<void> {
  for (const folder of ['EFI/BOOT', 'EFI/systemd', 'EFI/Linux', 'loader'])
    await mkdir(join(esp, folder), {recursive: true});
  await copyFile(input.bootLoader, join(esp, 'EFI/BOOT/BOOTX64.EFI'));
  await copyFile(input.bootLoader, join(esp, 'EFI/systemd/systemd-bootx64.efi'));
  await copyFile(input.uki, join(esp, 'EFI/Linux', ukiFileName(input.version, 3)));
  await writeFile(join(esp, 'loader/loader.conf'), loaderConfiguration);
  await writeFile(join(esp, 'loader/entries.srel'), 'type2\n');
  if (input.enrol !== undefined) {
    const auto = join(esp, 'loader/keys/auto');
    await mkdir(auto, {recursive: true});
    for (const name of ['PK.auth', 'KEK.auth', 'db.auth'])
      await copyFile(join(input.enrol, name), join(auto, name));
  }
  // FAT keeps the sources' times; without this two builds differ in eight bytes.
  const {epoch} = context.lock;
  for (const entry of (await walk(esp)).toReversed()) await lutimes(join(esp, entry), epoch, epoch);
}
