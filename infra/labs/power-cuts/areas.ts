/** Which part of the disk a write goes to, from the partition table and the ESP's own layout. */
import {readGpt, type GptPartition} from '../../../services/common/formats/gpt.ts';
import type {ByteSource} from '../../../services/common/formats/byte-source.ts';
import {partitionType} from '../../../services/common/contracts/slots.ts';

export type AreaName =
  | 'gpt-primary'
  | 'gpt-backup'
  /** Boot sector and allocation tables. */
  | 'esp-tables'
  | 'esp-data'
  | 'data-a'
  | 'tree-a'
  | 'data-b'
  | 'tree-b'
  | 'root'
  | 'other';

export interface Area {
  readonly name: AreaName;
  /** Bytes. */
  readonly offset: number;
  readonly size: number;
}

export interface Layout {
  readonly areas: readonly Area[];
  /** As in the table that the campaign began with. */
  readonly partitions: readonly GptPartition[];
  readonly esp: GptPartition;
  readonly root: GptPartition;
  readonly slots: readonly {readonly data: GptPartition; readonly tree: GptPartition}[];
  readonly diskSize: number;
}

const SECTOR = 512;

/** Reads the layout of a whole disk. Throws {@link FormatError}, or an error for a disk that is no Hawser's. */
export async function readLayout(disk: ByteSource): Promise<Layout> {
  const {partitions, firstUsableLba, lastUsableLba} = await readGpt(disk);
  const ofType = (type: string) => partitions.filter(one => one.type === type);
  const [esp] = ofType(partitionType.esp);
  const [root] = ofType(partitionType.root);
  const [dataA, dataB] = ofType(partitionType.usr);
  const [treeA, treeB] = ofType(partitionType.usrVerity);
  if (!esp || !root || !dataA || !dataB || !treeA || !treeB)
    throw new Error('the disk is not laid out as an image of Hawser that has booted once');
  const boot = await disk.read(esp.offset, SECTOR);
  const view = new DataView(boot.buffer, boot.byteOffset, boot.byteLength);
  const tables =
    (view.getUint16(14, true) + view.getUint8(16) * view.getUint32(36, true)) * view.getUint16(11, true);
  const part = (name: AreaName, {offset, size}: GptPartition): Area => ({name, offset, size});
  const backup = (lastUsableLba + 1) * SECTOR;
  return {
    areas: [
      {name: 'gpt-primary', offset: 0, size: firstUsableLba * SECTOR},
      {name: 'gpt-backup', offset: backup, size: disk.size - backup},
      {name: 'esp-tables', offset: esp.offset, size: tables},
      {name: 'esp-data', offset: esp.offset + tables, size: esp.size - tables},
      part('data-a', dataA),
      part('tree-a', treeA),
      part('data-b', dataB),
      part('tree-b', treeB),
      part('root', root),
    ],
    partitions,
    esp,
    root,
    slots: [
      {data: dataA, tree: treeA},
      {data: dataB, tree: treeB},
    ],
    diskSize: disk.size,
  };
}

export function areaOf(layout: Layout, offset: number): AreaName {
  return (
    layout.areas.find(area => offset >= area.offset && offset < area.offset + area.size)?.name ?? 'other'
  );
}
