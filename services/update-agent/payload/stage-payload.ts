/**
 * Brings a release into the idle slot: from what the machine runs, from what the slot holds already, and from the
 * repositories; then proves all of it against the signed manifest. It can be stopped anywhere and run again: it believes
 * nothing but hashes of what it reads, so there is no progress file.
 */
import type {ReleaseManifest} from '../../common/contracts/release.ts';
import {PayloadError} from '../../common/payload/errors.ts';
import {readIndex, type PayloadIndex} from '../../common/payload/index-format.ts';
import {blockBytes} from '../../common/payload/layout.ts';
import {describeTarget, planBlocks} from '../../common/payload/plan.ts';
import type {StageProgress, StageRequest, StageResult} from '../../common/payload/ports.ts';
import {writeBootFile} from './boot-file.ts';
import {copyBlocks} from './copy-blocks.ts';
import {fetchBlocks} from './fetch-blocks.ts';
import {createLeafHash} from './leaf-hash.ts';
import {checkHash, damaged, fetchPieces} from './pieces.ts';
import {proveSlot} from './prove-slot.ts';
import {createRangeReader, type RangeReader} from './range-reader.ts';
import {resolveLeaves} from './resolve-leaves.ts';
import {readRunningLeaves} from './running-leaves.ts';
import {openSlot} from './slot-device.ts';

/**
 * Stages `request.manifest`, which the caller has verified. Throws {@link PayloadError}; `aborted` when the signal
 * fires. Nothing of the running release is ever written to, and the slot's old release must not be bootable any more
 * when this is called.
 */
export async function stagePayload(request: StageRequest): Promise<StageResult> {
  try {
    return await stage(request);
  } catch (error) {
    if (!request.signal.aborted) throw error;
    throw new PayloadError('aborted', 'the update was interrupted', {
      remedy: 'run it again: what has arrived is kept',
      cause: error,
    });
  }
}

async function stage(request: StageRequest): Promise<StageResult> {
  const {manifest, running, target: devices, signal} = request;
  const {size} = manifest.usr;
  const reader = createRangeReader(request);
  const report = (phase: StageProgress['phase'], doneBytes: number) =>
    request.onProgress?.({phase, doneBytes, totalBytes: size, fetchedBytes: reader.fetchedBytes});
  report('index', 0);
  const salt = Buffer.from(manifest.usr.salt, 'hex');
  const hash = createLeafHash(salt);
  const index = await fetchIndex(reader, manifest, signal);
  const source = {reader, path: index.head.store.path, signal};
  const own = await readRunningLeaves(running, salt);
  const leaves = await resolveLeaves(source, index, running && {rootHash: running.rootHash, leaves: own});
  const target = describeTarget(leaves, hash.zeroLeaf);
  const plan = planBlocks(target, own);

  await using slot = await openSlot(devices.usrDevice, 'write', size);
  await using device = running === undefined ? undefined : await openSlot(running.usrDevice, 'read');
  const {placed, kept, copied} = await copyBlocks({
    target,
    plan,
    hash,
    slot,
    running: device,
    signal,
    onProgress: blocks => report('copy', blocks * blockBytes),
  });
  let blocks = kept + copied;
  const patched = await fetchBlocks({
    source,
    index,
    target,
    placed,
    hash,
    slot,
    running:
      running === undefined || device === undefined
        ? undefined
        : {device, rootHash: running.rootHash, leaves: own},
    onProgress: more => {
      blocks += more;
      report('fetch', blocks * blockBytes);
    },
  });
  await slot.sync();
  const readBack = await proveSlot({
    manifest,
    devices,
    leaves,
    hash,
    signal,
    onProgress: bytes => report('prove', bytes),
  });

  report('boot', size);
  const reusedUkiBytes = await writeBootFile(
    {source, slot, layer: 'uki', running: running?.ukiPath, out: request.ukiOut},
    index.head.uki,
    index.uki,
  );
  await writeBootFile(
    {source, slot, layer: 'boot-loader', running: running?.bootLoaderPath, out: request.bootLoaderOut},
    index.head.bootLoader,
    index.bootLoader,
  );
  report('boot', size);
  return {
    fetchedBytes: reader.fetchedBytes,
    copiedBytes: copied * blockBytes,
    keptBytes: kept * blockBytes,
    reusedUkiBytes,
    requests: reader.requests,
    patched,
    readBack,
  };
}

async function fetchIndex(
  reader: RangeReader,
  manifest: ReleaseManifest,
  signal: AbortSignal,
): Promise<PayloadIndex> {
  const {payload} = manifest;
  let index: PayloadIndex | undefined;
  await fetchPieces({reader, path: payload.path, signal}, 'index', [
    {
      offset: 0,
      size: payload.size,
      accept: async bytes => {
        checkHash(bytes, Buffer.from(payload.sha256, 'hex'), {});
        index = readIndex(bytes);
      },
    },
  ]);
  if (index === undefined) throw damaged('index', {});
  const {head} = index;
  // Manifest and index are both signed; if they disagree, whoever published them made a mistake.
  const agree =
    head.rootHash === manifest.rootHash &&
    head.blocks * blockBytes === manifest.usr.size &&
    head.uki.sha256 === manifest.uki.sha256 &&
    head.uki.size === manifest.uki.size &&
    head.bootLoader.sha256 === manifest.bootLoader.sha256;
  if (!agree) throw damaged('index', {reason: 'it is of another release than the manifest'});
  return index;
}
