/**
 * Reader of FAT file systems (Microsoft FAT specification 1.03: FAT12, FAT16, FAT32, long names): enough to find
 * a file in an EFI system partition and read it. Never writes.
 */
import {checkRange, type ByteSource} from '../../services/common/formats/byte-source.ts';
import {FormatError} from '../../services/common/formats/errors.ts';
import {parseDirectory, type FatEntry} from './fat-directory.ts';

export interface Fat {
  /** Entries of a folder (`EFI/Linux`; empty for the root), without `.` and `..`. Throws `no-such-file`. */
  list(path: string): Promise<FatEntry[]>;
  /** The content of a file; names are equal without regard to case. Throws `no-such-file`. */
  file(path: string): Promise<ByteSource>;
}

interface Geometry {
  readonly kind: 12 | 16 | 32;
  readonly clusterSize: number;
  /** Bytes; clusters are counted from 2. */
  readonly dataOffset: number;
  readonly clusters: number;
  readonly fatOffset: number;
  readonly fatSize: number;
  /** FAT12 and FAT16 keep the root folder before the clusters. */
  readonly root: {readonly offset: number; readonly size: number} | {readonly cluster: number};
}

const MAX_FAT_BYTES = 256 << 20;
const MAX_FOLDER_BYTES = 2 << 20; // specification: a folder holds at most 65,536 entries of 32 bytes

/** Reads the boot sector and the allocation table. Throws {@link FormatError} `bad-fat` or `truncated`. */
export async function openFat(volume: ByteSource): Promise<Fat> {
  const geometry = parseBootSector(await volume.read(0, 512), volume.size);
  const table = await volume.read(geometry.fatOffset, geometry.fatSize);
  const chainFrom = (cluster: number) => chain(table, geometry, cluster);
  const content = (entry: FatEntry): ByteSource =>
    clusterSource(volume, geometry, chainFrom(entry.cluster), entry.size);

  const readFolder = async (entry: FatEntry | undefined): Promise<FatEntry[]> => {
    const {root} = geometry;
    if (entry === undefined && 'offset' in root)
      return parseDirectory(await volume.read(root.offset, root.size));
    const clusters = chainFrom(entry?.cluster ?? ('cluster' in root ? root.cluster : 0));
    const size = clusters.length * geometry.clusterSize;
    if (size > MAX_FOLDER_BYTES + geometry.clusterSize) bad('a folder is longer than any can be');
    return parseDirectory(await clusterSource(volume, geometry, clusters, size).read(0, size));
  };
  const find = async (path: string): Promise<FatEntry | undefined> => {
    let entry: FatEntry | undefined;
    for (const name of path.split('/').filter(part => part !== '')) {
      if (entry !== undefined && !entry.folder) return missing(path);
      const wanted = name.toLowerCase();
      entry = (await readFolder(entry)).find(one => one.name.toLowerCase() === wanted) ?? missing(path);
    }
    return entry;
  };
  return {
    list: async path => {
      const entry = await find(path);
      return entry === undefined || entry.folder ? readFolder(entry) : missing(path);
    },
    file: async path => {
      const entry = await find(path);
      return entry === undefined || entry.folder ? missing(path) : content(entry);
    },
  };
}

function parseBootSector(bytes: Uint8Array, volumeSize: number): Geometry {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sector = view.getUint16(11, true);
  const perCluster = view.getUint8(13);
  const fats = view.getUint8(16);
  const rootEntries = view.getUint16(17, true);
  const fatSectors = view.getUint16(22, true) || view.getUint32(36, true);
  const sectors = view.getUint16(19, true) || view.getUint32(32, true);
  const reserved = view.getUint16(14, true);
  const isPower = (value: number) => value > 0 && Number.isInteger(Math.log2(value));
  if (view.getUint16(510, true) !== 0xaa55) bad('its boot sector is not marked as one');
  if (!isPower(sector) || sector < 512 || sector > 4096 || !isPower(perCluster))
    bad('its sectors or clusters have no valid size');
  if (fats === 0 || reserved === 0 || fatSectors === 0 || fatSectors * sector > MAX_FAT_BYTES)
    bad('it has no allocation table');
  if (sectors * sector > volumeSize) bad('it is larger than its partition');
  const rootSectors = Math.ceil((rootEntries * 32) / sector);
  const firstData = reserved + fats * fatSectors + rootSectors;
  if (firstData >= sectors) bad('it has no room for data');
  const clusters = Math.floor((sectors - firstData) / perCluster);
  // Specification 3.5: the number of clusters alone decides about the kind.
  const kind = clusters < 4085 ? 12 : clusters < 65525 ? 16 : 32;
  const fatSize = fatSectors * sector;
  if (((clusters + 2) * kind) / 8 > fatSize) bad('its allocation table is too short');
  return {
    kind,
    clusterSize: perCluster * sector,
    dataOffset: firstData * sector,
    clusters,
    fatOffset: reserved * sector,
    fatSize,
    root:
      kind === 32
        ? {cluster: view.getUint32(44, true)}
        : {offset: (reserved + fats * fatSectors) * sector, size: rootEntries * 32},
  };
}

/** The clusters of a file in order. A loop, or a cluster out of range, is `bad-fat`. */
function chain(table: Uint8Array, {kind, clusters}: Geometry, first: number): number[] {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const next = (cluster: number): number => {
    if (kind === 32) return view.getUint32(cluster * 4, true) & 0x0fffffff;
    if (kind === 16) return view.getUint16(cluster * 2, true);
    const pair = view.getUint16(cluster + (cluster >> 1), true);
    return cluster % 2 === 0 ? pair & 0xfff : pair >> 4;
  };
  const endMark = {12: 0xff8, 16: 0xfff8, 32: 0x0ffffff8}[kind];
  const found: number[] = [];
  if (first === 0) return found; // an empty file has no cluster
  for (let cluster = first; cluster < endMark; cluster = next(cluster)) {
    if (cluster < 2 || cluster >= clusters + 2) bad('a file leads to a cluster that does not exist');
    if (found.length >= clusters) bad('a file leads in a circle');
    found.push(cluster);
  }
  return found;
}

function clusterSource(
  volume: ByteSource,
  geometry: Geometry,
  clusters: readonly number[],
  size: number,
): ByteSource {
  const {clusterSize, dataOffset} = geometry;
  if (clusters.length * clusterSize < size) bad('a file is longer than its clusters');
  return {
    size,
    read: async (offset, length) => {
      checkRange(size, offset, length);
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const index = Math.floor((offset + done) / clusterSize);
        // Neighbouring clusters are read at once.
        let run = 1;
        const needed = Math.ceil((offset + length) / clusterSize) - index;
        while (run < needed && clusters[index + run] === (clusters[index] ?? 0) + run) run += 1;
        const inside = (offset + done) % clusterSize;
        const amount = Math.min(run * clusterSize - inside, length - done);
        const start = dataOffset + ((clusters[index] ?? 0) - 2) * clusterSize + inside;
        bytes.set(await volume.read(start, amount), done);
        done += amount;
      }
      return bytes;
    },
  };
}

function missing(path: string): never {
  throw new FormatError('no-such-file', `${path} is not in the file system`, {context: {path}});
}

function bad(why: string): never {
  throw new FormatError('bad-fat', `the FAT file system cannot be read: ${why}`);
}
