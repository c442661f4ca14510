/**
 * What an update consists of, taken from the disk itself: the /usr file system, its hash tree and the UKI. All
 * of it is proven against the root hash, so it is what a machine booted from this disk would run.
 */
import {partitionType, slotPartitionUuids} from '../../../services/common/contracts/slots.ts';
import {sliceSource, type ByteSource} from '../../../services/common/formats/byte-source.ts';
import {FormatError} from '../../../services/common/formats/errors.ts';
import {openFat} from '../fat.ts';
import {openFileSource} from '../../../services/common/formats/file-source.ts';
import {findPartition, readGpt, type GptPartition} from '../../../services/common/formats/gpt.ts';
import {parsePe} from '../../../services/common/formats/pe.ts';
import {readUki, ukiText} from '../../../services/common/formats/uki.ts';
import {readVerity, verifyVerity} from '../../../services/common/formats/verity.ts';
import {exportBytes} from './copy.ts';
import type {Exporter, ExportRequest} from './exporter.ts';
import {isZeroFrom} from './output.ts';

export const updateExporter: Exporter = {
  format: 'update',
  summary: '/usr, its hash tree and the kernel image, as the update server hands them out',
  export: async request => {
    await using disk = await openFileSource(request.disk);
    const {usr, tree, uki} = await findRelease(disk, request);
    return [
      await exportBytes(request, 'usr', `${request.name}.usr`, usr),
      await exportBytes(request, 'tree', `${request.name}.tree`, tree),
      await exportBytes(request, 'uki', `${request.name}.efi`, uki),
    ];
  },
};

/**
 * The three parts of a release on `disk`, each without the rest of its partition. Throws FormatError when a
 * part is missing, does not belong to the root hash, or is followed by anything but zeros.
 */
export async function findRelease(
  disk: ByteSource,
  {release, signal}: Pick<ExportRequest, 'release' | 'signal'>,
): Promise<{usr: ByteSource; tree: ByteSource; uki: ByteSource}> {
  const gpt = await readGpt(disk);
  const uuids = slotPartitionUuids(release.rootHash);
  const partition = (one: GptPartition) => sliceSource(disk, one.offset, one.size);
  const data = partition(findPartition(gpt, {type: partitionType.usr, uuid: uuids.data}));
  const hashes = partition(findPartition(gpt, {type: partitionType.usrVerity, uuid: uuids.tree}));
  const verity = await readVerity(hashes);
  await verifyVerity(data, hashes, release.rootHash);
  if (
    !(await isZeroFrom(data, verity.dataSize, signal)) ||
    !(await isZeroFrom(hashes, verity.treeSize, signal))
  ) {
    throw new FormatError(
      'export-differs',
      'the slot holds bytes behind its release, which no root hash covers',
    );
  }
  const esp = partition(findPartition(gpt, {type: partitionType.esp}));
  return {
    usr: sliceSource(data, 0, verity.dataSize),
    tree: sliceSource(hashes, 0, verity.treeSize),
    uki: await findUki(esp, release),
  };
}

/** The kernel image of the release in the EFI system partition, whatever its boot counter says. */
async function findUki(esp: ByteSource, {version, rootHash}: ExportRequest['release']): Promise<ByteSource> {
  const fat = await openFat(esp);
  const names = (await fat.list('EFI/Linux')).filter(one => !one.folder).map(one => one.name);
  // Boot Loader Specification: `+tries`, or `+tries-failed`, may stand before the ending.
  const mine = names.filter(name => name.replace(/(\+\d+(-\d+)?)?\.efi$/, '') === `hawser_${version}`);
  const [name] = mine;
  if (name === undefined || mine.length > 1) {
    throw new FormatError(
      'no-such-file',
      `the EFI system partition has ${mine.length} kernel images of version ${version}`,
    );
  }
  const file = await fat.file(`EFI/Linux/${name}`);
  const {base, profiles} = readUki(parsePe(await file.read(0, file.size)));
  const cmdlines = [ukiText(base, '.cmdline'), ...profiles.map(one => ukiText(one, '.cmdline'))];
  if (!cmdlines.some(text => text?.split(/\s+/).includes(`usrhash=${rootHash}`))) {
    throw new FormatError(
      'export-differs',
      `the kernel image ${name} does not start the /usr that is on this disk`,
    );
  }
  return file;
}
