/** The disk as an EBS snapshot, by EBS's direct interface: begun, filled with the blocks that are not zero, completed. */
import {createHash} from 'node:crypto';
import type {Snapshot} from '@aws-sdk/client-ec2';
import {MachineError} from '../../../errors.ts';
import {isNotFound} from '../aws-errors.ts';
import type {Ebs, Ec2} from '../client.ts';
import type {Tag} from '../names.ts';
import {until, type Waiting} from '../wait.ts';
import {forEachBounded} from './bounded.ts';
import {BLOCK_BYTES, type DiskBlocks} from './disk-blocks.ts';
import type {UploadLog} from './upload-log.ts';

const VISIBLE_WITHIN_MS = 120_000;
const COMPLETED_WITHIN_MS = 1_800_000;
/** AWS gives up a snapshot that gets no block for so long; 4320 is the most. */
const PATIENCE_MINUTES = 4320;

export interface SnapshotWish {
  readonly description: string;
  readonly tags: readonly Tag[];
  /** The same disk and place give the same snapshot. */
  readonly token: string;
}

export interface UploadHost extends Waiting {
  report(detail: string): void;
}

/** Snapshots of ours with that tag. */
export async function findSnapshots(ec2: Ec2, tag: Tag): Promise<readonly Snapshot[]> {
  const {Snapshots} = await ec2('look for snapshots', (api, options) =>
    api.describeSnapshots(
      {OwnerIds: ['self'], Filters: [{Name: `tag:${tag.Key}`, Values: [tag.Value]}]},
      options,
    ),
  );
  return Snapshots ?? [];
}

export async function beginSnapshot(ebs: Ebs, disk: DiskBlocks, wish: SnapshotWish): Promise<string> {
  const started = await ebs('begin the snapshot', (api, options) =>
    api.startSnapshot(
      {
        VolumeSize: disk.gib,
        Description: wish.description,
        ClientToken: wish.token,
        Timeout: PATIENCE_MINUTES,
        Tags: [...wish.tags],
      },
      options,
    ),
  );
  if (started.BlockSize !== BLOCK_BYTES) {
    throw new MachineError(
      'driver-failed',
      `EBS wants blocks of ${started.BlockSize} bytes, not ${BLOCK_BYTES}`,
    );
  }
  return started.SnapshotId ?? '';
}

/** Sends what is missing and closes the snapshot, whose content AWS checks against the sum of all checksums. */
export async function fillSnapshot(
  ebs: Ebs,
  snapshot: string,
  disk: DiskBlocks,
  {log, parallel, host}: {readonly log: UploadLog; readonly parallel: number; readonly host: UploadHost},
): Promise<void> {
  const sent = log.sent(snapshot);
  const digests: Buffer[] = [];
  let bytes = 0;
  const missing = async function* () {
    for await (const {index, data} of disk.filled()) {
      const digest = createHash('sha256').update(data).digest();
      digests.push(digest);
      if (!sent.has(index)) yield {index, data, digest};
    }
  };
  await forEachBounded(missing(), parallel, async ({index, data, digest}) => {
    await putBlock(ebs, snapshot, {index, data, digest}, host);
    await log.wrote(index);
    bytes += data.length;
    host.report(`${Math.round(bytes / 2 ** 20)} MiB sent, at ${percent(index, disk)} of the disk`);
  });
  const whole = createHash('sha256');
  for (const digest of digests) whole.update(digest);
  await ebs('complete the snapshot', (api, options) =>
    api.completeSnapshot(
      {
        SnapshotId: snapshot,
        ChangedBlocksCount: digests.length,
        Checksum: whole.digest('base64'),
        ChecksumAlgorithm: 'SHA256',
        ChecksumAggregationMethod: 'LINEAR',
      },
      options,
    ),
  );
}

async function putBlock(
  ebs: Ebs,
  SnapshotId: string,
  {index, data, digest}: {readonly index: number; readonly data: Buffer; readonly digest: Buffer},
  host: UploadHost,
): Promise<void> {
  const put = () =>
    ebs(`send block ${index}`, (api, options) =>
      api.putSnapshotBlock(
        {
          SnapshotId,
          BlockIndex: index,
          BlockData: data,
          DataLength: data.length,
          Checksum: digest.toString('base64'),
          ChecksumAlgorithm: 'SHA256',
        },
        options,
      ),
    );
  // A snapshot that was just begun may not be known everywhere yet.
  const done = await until(host, VISIBLE_WITHIN_MS, async () => {
    try {
      await put();
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  });
  if (!done) throw new MachineError('driver-failed', `AWS does not know the snapshot ${SnapshotId}`);
}

function isMissing(error: unknown): boolean {
  return (
    isNotFound(error) ||
    (error instanceof MachineError && error.context['aws'] === 'ResourceNotFoundException')
  );
}

/** Waits until the snapshot is `completed`. Throws when it failed. */
export async function awaitSnapshot(ec2: Ec2, id: string, host: UploadHost): Promise<void> {
  const done = await until(host, COMPLETED_WITHIN_MS, async () => {
    const {Snapshots} = await ec2('look at the snapshot', (api, options) =>
      api.describeSnapshots({SnapshotIds: [id]}, options),
    );
    const [snapshot] = Snapshots ?? [];
    host.report(`snapshot ${id} is ${snapshot?.State ?? 'unknown'}`);
    if (snapshot?.State === 'error')
      throw new MachineError(
        'driver-failed',
        `the snapshot ${id} failed: ${snapshot.StateMessage ?? 'no reason given'}`,
      );
    return snapshot?.State === 'completed';
  });
  if (!done)
    throw new MachineError('driver-failed', `the snapshot ${id} is not completed after half an hour`);
}

function percent(index: number, disk: DiskBlocks): string {
  return `${Math.floor((100 * index * BLOCK_BYTES) / disk.size)}%`;
}
