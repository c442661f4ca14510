/**
 * The disk that a machine reads its first-boot configuration from: FAT16, labelled HAWSER-CFG, one file. Written here
 * because a laptop with VirtualBox has no mkfs.vfat. Layout: Microsoft's FAT specification 1.03. Pure.
 */

const SECTOR = 512;
const SECTORS_PER_CLUSTER = 4;
const CLUSTER = SECTOR * SECTORS_PER_CLUSTER;
const RESERVED_SECTORS = 1;
const FATS = 2;
const ROOT_ENTRIES = 512;
/** FAT16 begins at 4085 clusters: fewer would be read as FAT12. */
const CLUSTERS = 8192;
const END_OF_CHAIN = 0xffff;
const MEDIA = 0xf8;
const LABEL = 'HAWSER-CFG ';
const FILE = 'CONFIG  IGN';

/** The longest configuration that fits, bytes. */
export const configDiskCapacity = (CLUSTERS - 1) * CLUSTER;

/** A whole disk with `/config.ign`. Throws RangeError when it does not fit. */
export function configDisk(config: Uint8Array): Buffer {
  if (config.length > configDiskCapacity) throw new RangeError('the configuration does not fit its disk');
  const fatSectors = Math.ceil(((CLUSTERS + 2) * 2) / SECTOR);
  const rootSectors = (ROOT_ENTRIES * 32) / SECTOR;
  const dataStart = RESERVED_SECTORS + FATS * fatSectors + rootSectors;
  const sectors = dataStart + CLUSTERS * SECTORS_PER_CLUSTER;
  const disk = Buffer.alloc(sectors * SECTOR);
  bootSector(disk, sectors, fatSectors);
  const used = Math.ceil(config.length / CLUSTER);
  const fat = Buffer.alloc(fatSectors * SECTOR);
  fat.writeUInt16LE(0xff00 | MEDIA, 0);
  fat.writeUInt16LE(END_OF_CHAIN, 2);
  for (let cluster = 2; cluster < used + 2; cluster++)
    fat.writeUInt16LE(cluster === used + 1 ? END_OF_CHAIN : cluster + 1, cluster * 2);
  for (let copy = 0; copy < FATS; copy++) fat.copy(disk, (RESERVED_SECTORS + copy * fatSectors) * SECTOR);
  const root = (RESERVED_SECTORS + FATS * fatSectors) * SECTOR;
  disk.write(LABEL, root, 'latin1');
  // Attribute: the volume's label.
  disk.writeUInt8(0x08, root + 11);
  const file = root + 32;
  disk.write(FILE, file, 'latin1');
  // The name is shown in lower case (Windows NT's flags), as it is looked for.
  disk.writeUInt8(0x18, file + 12);
  disk.writeUInt8(0x20, file + 11);
  disk.writeUInt16LE(used === 0 ? 0 : 2, file + 26);
  disk.writeUInt32LE(config.length, file + 28);
  disk.set(config, dataStart * SECTOR);
  return disk;
}

function bootSector(disk: Buffer, sectors: number, fatSectors: number): void {
  disk.set([0xeb, 0x3c, 0x90]);
  disk.write('HAWSER  ', 3, 'latin1');
  disk.writeUInt16LE(SECTOR, 11);
  disk.writeUInt8(SECTORS_PER_CLUSTER, 13);
  disk.writeUInt16LE(RESERVED_SECTORS, 14);
  disk.writeUInt8(FATS, 16);
  disk.writeUInt16LE(ROOT_ENTRIES, 17);
  disk.writeUInt16LE(sectors < 0x1_0000 ? sectors : 0, 19);
  disk.writeUInt8(MEDIA, 21);
  disk.writeUInt16LE(fatSectors, 22);
  disk.writeUInt16LE(63, 24);
  disk.writeUInt16LE(255, 26);
  disk.writeUInt32LE(sectors < 0x1_0000 ? 0 : sectors, 32);
  disk.writeUInt8(0x80, 36);
  disk.writeUInt8(0x29, 38);
  disk.writeUInt32LE(0x48_41_57_53, 39);
  disk.write(LABEL, 43, 'latin1');
  disk.write('FAT16   ', 54, 'latin1');
  disk.writeUInt16LE(0xaa55, 510);
}
