/** A boot option of the firmware (UEFI 2.10, 3.1.3) that starts one file of one GPT partition. Pure. */
import {guidToBytes} from '../common/formats/guid.ts';

export interface LoadOption {
  readonly description: string;
  readonly partition: {
    readonly number: number;
    readonly uuid: string;
    /** In sectors. */
    readonly firstLba: number;
    readonly sectors: number;
  };
  /** With backslashes, from the root of the partition. */
  readonly path: string;
}

const ACTIVE = 1;

export function encodeLoadOption({description, partition, path}: LoadOption): Uint8Array {
  const drive = new Uint8Array(38);
  const view = new DataView(drive.buffer);
  view.setUint32(0, partition.number, true);
  view.setBigUint64(4, BigInt(partition.firstLba), true);
  view.setBigUint64(12, BigInt(partition.sectors), true);
  drive.set(guidToBytes(partition.uuid), 20);
  drive.set([2, 2], 36); // GPT; named by GUID
  const devicePath = concat([node(4, 1, drive), node(4, 4, utf16(path)), node(0x7f, 0xff, new Uint8Array())]);
  const head = new Uint8Array(6);
  const headView = new DataView(head.buffer);
  headView.setUint32(0, ACTIVE, true);
  headView.setUint16(4, devicePath.length, true);
  return concat([head, utf16(description), devicePath]);
}

/** UEFI 2.10, 10.3.1: type, subtype, length of the whole. */
function node(type: number, subtype: number, data: Uint8Array): Uint8Array {
  const length = data.length + 4;
  return concat([Uint8Array.of(type, subtype, length & 0xff, length >> 8), data]);
}

function utf16(text: string): Uint8Array {
  const bytes = new Uint8Array((text.length + 1) * 2);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < text.length; index += 1)
    view.setUint16(index * 2, text.charCodeAt(index), true);
  return bytes;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
