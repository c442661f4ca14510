/** Third pass: the slot is read back from the device, and its hash tree made of what was read. */
import type {ReleaseManifest} from '../../common/contracts/release.ts';
import {buildVerityTree} from '../../common/formats/verity-tree.ts';
import {PayloadError} from '../../common/payload/errors.ts';
import {blockBytes, leafBytes} from '../../common/payload/layout.ts';
import type {LeafHash} from './leaf-hash.ts';
import {openReadBack, openSlot, readBackBytes} from './slot-device.ts';

export interface ProveInput {
  readonly manifest: Pick<ReleaseManifest, 'rootHash' | 'usr'>;
  readonly devices: {readonly usrDevice: string; readonly treeDevice: string};
  /** Truncated leaves, to name the block where the device gives back something else. */
  readonly leaves: Uint8Array;
  readonly hash: LeafHash;
  readonly signal: AbortSignal;
  readonly onProgress: (bytes: number) => void;
}

/**
 * Throws {@link PayloadError}: `slot-damaged` where the device does not give back what was written,
 * `root-hash-differs` where all that was promised is there and yet is not the release that was signed.
 */
export async function proveSlot(input: ProveInput): Promise<'direct' | 'buffered'> {
  const {manifest, devices, hash, signal} = input;
  const {size, salt, uuid} = manifest.usr;
  const whole = new Uint8Array((size / blockBytes) * 32);
  await using data = await openReadBack(devices.usrDevice);
  for (let at = 0; at < size; at += readBackBytes) {
    signal.throwIfAborted();
    const bytes = await data.read(at, Math.min(readBackBytes, size - at));
    for (let within = 0; within < bytes.length; within += blockBytes) {
      const block = (at + within) / blockBytes;
      const leaf = hash.whole(bytes.subarray(within, within + blockBytes));
      if (leaf.compare(input.leaves, block * leafBytes, (block + 1) * leafBytes, 0, leafBytes) !== 0)
        throw slotDamaged(devices.usrDevice, {block});
      whole.set(leaf, block * 32);
    }
    input.onProgress(at + bytes.length);
  }
  const tree = buildVerityTree({leaves: whole, salt: Buffer.from(salt, 'hex'), uuid});
  if (tree.rootHash !== manifest.rootHash) {
    throw new PayloadError(
      'root-hash-differs',
      'the slot holds what the payload says, but that is not the release',
      {
        remedy: 'publish the release again',
        context: {expected: manifest.rootHash, found: tree.rootHash},
      },
    );
  }
  await writeTree(devices.treeDevice, tree.bytes);
  return data.kind;
}

async function writeTree(path: string, bytes: Uint8Array): Promise<void> {
  {
    await using device = await openSlot(path, 'write', bytes.length);
    await device.write(bytes, 0);
    await device.sync();
  }
  await using back = await openReadBack(path);
  for (let at = 0; at < bytes.length; at += readBackBytes) {
    const expected = bytes.subarray(at, at + readBackBytes);
    if (Buffer.compare(await back.read(at, expected.length), expected) !== 0) throw slotDamaged(path, {at});
  }
}

function slotDamaged(device: string, context: Readonly<Record<string, unknown>>): PayloadError {
  return new PayloadError('slot-damaged', `${device} does not give back what was written to it`, {
    remedy: 'the disk is failing: replace it',
    context: {device, ...context},
  });
}
