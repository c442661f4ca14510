/** The leaves of what the machine runs, from its own hash tree: a hint about where blocks are, never a proof. */
import {readVerity} from '../../common/formats/verity.ts';
import {FormatError} from '../../common/formats/errors.ts';
import {truncateLeaves} from '../../common/payload/leaf-map.ts';
import type {RunningRelease} from '../../common/payload/ports.ts';
import {openSlot} from './slot-device.ts';

/**
 * Truncated; empty where nothing runs, its tree cannot be read, or it has another salt: everything is fetched then.
 */
export async function readRunningLeaves(
  running: RunningRelease | undefined,
  salt: Uint8Array,
): Promise<Uint8Array> {
  if (running === undefined) return new Uint8Array();
  await using tree = await openSlot(running.treeDevice, 'read');
  const read = async (offset: number, length: number) => {
    const bytes = new Uint8Array(length);
    await tree.read(bytes, offset);
    return bytes;
  };
  try {
    const verity = await readVerity({size: Number.MAX_SAFE_INTEGER, read});
    const [lowest] = verity.levels;
    if (lowest === undefined || Buffer.compare(verity.salt, salt) !== 0 || verity.dataBlocks > 2 ** 24)
      return new Uint8Array();
    return truncateLeaves(await read(lowest.offset, verity.dataBlocks * 32));
  } catch (error) {
    if (error instanceof FormatError) return new Uint8Array();
    throw error;
  }
}
