/**
 * Which slot runs, which is idle, and what may be changed of the disk. Plans are data; adapters/ carry them out. The
 * running slot and its boot entry are in no plan, whatever is asked for.
 */
import {
  emptySlotLabel,
  partitionType,
  slotLabel,
  slotPartitionUuids,
  slotTreeLabel,
} from '../common/contracts/slots.ts';
import {UpdateAgentError} from './errors.ts';
import {blessedUkiName, stagedUkiName, type UkiFile} from './uki-names.ts';

export interface PartitionFact {
  /** As the kernel counts. */
  readonly number: number;
  /** Lower-case GUIDs. */
  readonly type: string;
  readonly uuid: string;
  readonly label: string;
  readonly firstLba: number;
  readonly sectors: number;
}

export interface Slot {
  readonly name: 'a' | 'b';
  readonly data: PartitionFact;
  readonly tree: PartitionFact;
}

export interface Slots {
  readonly running: Slot;
  readonly idle: Slot;
}

/** A partition's new label and UUID. */
export interface PartitionChange {
  readonly number: number;
  readonly label: string;
  readonly uuid: string;
}

/**
 * Finds the two slots; the running one is named by the root hash that the kernel was started with. Throws
 * {@link UpdateAgentError} `no-slots` unless there are exactly two, of which exactly one runs.
 */
export function findSlots(partitions: readonly PartitionFact[], rootHash: string): Slots {
  const ofType = (type: string) =>
    partitions.filter(one => one.type === type).sort((a, b) => a.number - b.number);
  const data = ofType(partitionType.usr);
  const trees = ofType(partitionType.usrVerity);
  const [dataA, dataB, ...moreData] = data;
  const [treeA, treeB, ...moreTrees] = trees;
  if (!dataA || !dataB || !treeA || !treeB || moreData.length + moreTrees.length > 0) {
    throw new UpdateAgentError(
      'no-slots',
      `the disk has ${data.length} partitions for /usr and ${trees.length} for its hash trees, not two of each`,
    );
  }
  const a: Slot = {name: 'a', data: dataA, tree: treeA};
  const b: Slot = {name: 'b', data: dataB, tree: treeB};
  const running = [a, b].filter(slot => holds(slot, rootHash));
  const [only] = running;
  if (only === undefined || running.length !== 1) {
    throw new UpdateAgentError('no-slots', `${running.length} slots hold the release that runs, not one`);
  }
  return {running: only, idle: only === a ? b : a};
}

/** Whether the slot's UUIDs name the release of `rootHash` (contracts/slots.ts). */
export function holds(slot: Slot, rootHash: string): boolean {
  const uuids = slotPartitionUuids(rootHash);
  return slot.data.uuid === uuids.data && slot.tree.uuid === uuids.tree;
}

/** The root hash that a slot's UUIDs make: its first half names the data partition, its second the hash tree's. */
export function slotRootHash({data, tree}: Slot): string {
  return `${data.uuid}${tree.uuid}`.replaceAll('-', '');
}

/** The version in a slot, or undefined for an empty one. */
export function slotVersion(slot: Slot): string | undefined {
  const start = slotLabel('');
  return slot.data.label.startsWith(start) ? slot.data.label.slice(start.length) : undefined;
}

/** Before a byte of the idle slot is written, or when what is in it is given up. `fresh`: two new random UUIDs. */
export function planEmpty(
  slots: Slots,
  fresh: {readonly data: string; readonly tree: string},
): PartitionChange[] {
  return guard(slots, [
    {number: slots.idle.data.number, label: emptySlotLabel, uuid: fresh.data},
    {number: slots.idle.tree.number, label: emptySlotLabel, uuid: fresh.tree},
  ]);
}

/** After what was written has been read back and proven: only now can `usrhash=` find it. */
export function planFilled(
  slots: Slots,
  release: {readonly version: string; readonly rootHash: string},
): PartitionChange[] {
  const uuids = slotPartitionUuids(release.rootHash);
  return guard(slots, [
    {number: slots.idle.data.number, label: slotLabel(release.version), uuid: uuids.data},
    {number: slots.idle.tree.number, label: slotTreeLabel(release.version), uuid: uuids.tree},
  ]);
}

function guard(slots: Slots, changes: PartitionChange[]): PartitionChange[] {
  const running = [slots.running.data.number, slots.running.tree.number];
  if (changes.some(change => running.includes(change.number))) {
    throw new UpdateAgentError('running-slot', 'a plan would change the slot that runs');
  }
  return changes;
}

/** What is to happen in the ESP for a release to be placed. */
export interface EspPlan {
  readonly remove: readonly string[];
  /** The name under which the UKI is written: it does not boot yet. */
  readonly place: string;
  /** Bytes that must be free once `remove` is done. */
  readonly needed: number;
}

/** Clusters and folder entries beside the bytes of the files. */
export const espSlack = 1024 * 1024;

/**
 * Plans the ESP for `release`, `free` bytes of which are free. All UKIs go but the running one's: the idle slot, which
 * the others boot, is about to be written. Throws {@link UpdateAgentError} `not-proven` when the running release has not
 * shown that it boots, and `esp-full` when there will not be enough room.
 */
export function planEsp(
  files: readonly (UkiFile & {readonly size: number})[],
  running: {readonly version: string; readonly proven: boolean},
  release: {readonly version: string; readonly ukiBytes: number; readonly loaderBytes: number},
  free: number,
): EspPlan {
  if (!running.proven) {
    throw new UpdateAgentError(
      'not-proven',
      `${running.version} has not proven itself: what is beside it stays`,
    );
  }
  const stale = files.filter(file => !isRunning(file, running.version));
  const needed = release.ukiBytes + release.loaderBytes + espSlack;
  const room = free + stale.reduce((sum, file) => sum + file.size, 0);
  if (room < needed) {
    throw new UpdateAgentError('esp-full', `${room} bytes would be free in the ESP, ${needed} are needed`, {
      remedy: 'remove files of your own from the ESP',
    });
  }
  return {remove: stale.map(file => file.name), place: stagedUkiName(release.version), needed};
}

/** UKIs that are of no use after an update: those that neither slot holds, and what was staged and never armed. */
export function planTidy(files: readonly UkiFile[], keep: readonly string[]): string[] {
  return files.filter(file => file.staged || !keep.includes(file.version)).map(file => file.name);
}

/** The UKI of the release that runs, under whichever name; a staged one of that version is another file. */
function isRunning(file: UkiFile, version: string): boolean {
  return !file.staged && file.version === version;
}

/** What `disarm` makes of a bootable, untried name: back to where `arm` took it from. */
export function unarmedName(version: string, source: 'fetched' | 'slot'): string {
  return source === 'slot' ? blessedUkiName(version) : stagedUkiName(version);
}
