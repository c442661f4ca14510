/** What AWS stored is read again and compared with the raw disk, block by block. */
import {createHash} from 'node:crypto';
import type {Block} from '@aws-sdk/client-ebs';
import {MachineError} from '../../../errors.ts';
import type {Ebs} from '../client.ts';
import {forEachBounded} from './bounded.ts';
import {BLOCK_BYTES, isZero, type DiskBlocks} from './disk-blocks.ts';
import type {UploadHost} from './snapshot.ts';

/** Throws `driver-failed` (context `differs`) at the first block that is not the disk's. */
export async function compareSnapshot(
  ebs: Ebs,
  snapshot: string,
  disk: DiskBlocks,
  {parallel, host}: {readonly parallel: number; readonly host: UploadHost},
): Promise<void> {
  const stored = new Set<number>();
  await forEachBounded(listBlocks(ebs, snapshot, disk.gib), parallel, async ({BlockIndex, BlockToken}) => {
    const index = BlockIndex ?? -1;
    stored.add(index);
    const found = await getBlock(ebs, snapshot, index, BlockToken ?? '');
    if (!found.equals(await disk.read(index))) throw differs(snapshot, `block ${index} is another`);
    host.report(`${stored.size} blocks read again`);
  });
  for (let index = 0; index * BLOCK_BYTES < disk.size; index += 1) {
    if (!stored.has(index) && !isZero(await disk.read(index)))
      throw differs(snapshot, `block ${index} is missing`);
  }
}

async function* listBlocks(ebs: Ebs, SnapshotId: string, gib: number): AsyncGenerator<Block> {
  let NextToken: string | undefined;
  do {
    const page = await ebs('list the blocks of the snapshot', (api, options) =>
      api.listSnapshotBlocks(
        {SnapshotId, MaxResults: 1000, ...(NextToken === undefined ? {} : {NextToken})},
        options,
      ),
    );
    if (page.VolumeSize !== gib || page.BlockSize !== BLOCK_BYTES)
      throw differs(SnapshotId, `it is of ${page.VolumeSize} GiB in blocks of ${page.BlockSize} bytes`);
    yield* page.Blocks ?? [];
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
}

async function getBlock(
  ebs: Ebs,
  SnapshotId: string,
  BlockIndex: number,
  BlockToken: string,
): Promise<Buffer> {
  // The body is part of the call: a connection that breaks within it is a failed call.
  const {bytes, checksum} = await ebs(`read block ${BlockIndex} again`, async (api, options) => {
    const answer = await api.getSnapshotBlock({SnapshotId, BlockIndex, BlockToken}, options);
    return {bytes: await answer.BlockData?.transformToByteArray(), checksum: answer.Checksum};
  });
  const data = Buffer.from(bytes ?? []);
  if (createHash('sha256').update(data).digest('base64') !== checksum)
    throw differs(SnapshotId, `block ${BlockIndex} has another checksum than AWS says`);
  return data;
}

function differs(snapshot: string, why: string): MachineError {
  return new MachineError('driver-failed', `the snapshot ${snapshot} is not the raw disk: ${why}`, {
    context: {differs: true},
    remedy: 'publish again',
  });
}

/** True for what {@link compareSnapshot} throws when AWS holds something else. */
export function isDifference(error: unknown): boolean {
  return error instanceof MachineError && error.context['differs'] === true;
}
