/** What runs on this machine: read from kernel, disk and ESP at the start of every run. */
import {readdir, readFile, realpath} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {UpdateAgentError} from '../errors.ts';
import type {MachineFacts} from '../ports.ts';
import {findSlots, slotRootHash, slotVersion, type PartitionFact, type Slots} from '../slots.ts';
import type {ReleaseName, StagedRelease} from '../states.ts';
import type {Esp} from './esp.ts';
import {readPartitions, type DiskPlace} from './gpt-disk.ts';

/** Folders of the kernel's, below another root in tests. */
export interface KernelPlaces {
  readonly proc: string;
  readonly sys: string;
  readonly dev: string;
  readonly osRelease: string;
}

export const kernelPlaces: KernelPlaces = {
  proc: '/proc',
  sys: '/sys',
  dev: '/dev',
  osRelease: '/usr/lib/os-release',
};

/** The release that runs: its version by /usr, its root hash by what the signed command line asked for. */
export async function readOwn(places: KernelPlaces): Promise<ReleaseName> {
  const commandLine = await readFile(join(places.proc, 'cmdline'), 'utf8');
  const rootHash = /(?:^|\s)usrhash=([0-9a-f]{64})(?:\s|$)/.exec(commandLine)?.[1];
  const osRelease = await readFile(places.osRelease, 'utf8');
  const version = /^VERSION_ID="?([^"\n]+)"?$/m.exec(osRelease)?.[1];
  if (rootHash === undefined || version === undefined) {
    throw new UpdateAgentError('no-slots', 'this machine was not booted from a slot of /usr');
  }
  return {version, rootHash};
}

export async function readBootId(places: KernelPlaces): Promise<string> {
  return (await readFile(join(places.proc, 'sys/kernel/random/boot_id'), 'utf8')).trim();
}

export interface SlotDisk {
  readonly place: DiskPlace;
  readonly partitions: readonly PartitionFact[];
  /** Device node of a partition. */
  device(number: number): Promise<string>;
}

/** The disk that /usr runs from: below the mapping named `usr`. Throws `no-slots`. */
export async function readDisk(places: KernelPlaces): Promise<SlotDisk> {
  const block = join(places.sys, 'class/block');
  const partition = await findUsrPartition(block);
  const disk = basename(dirname(await realpath(join(block, partition))));
  const number = async (path: string) => Number(await readFile(join(block, disk, path), 'utf8'));
  const place: DiskPlace = {
    path: join(places.dev, disk),
    size: (await number('size')) * 512, // the kernel counts in 512 whatever the disk does
    sectorSize: await number('queue/logical_block_size'),
  };
  return {
    place,
    partitions: await readPartitions(place),
    device: async wanted => {
      for (const name of await readdir(join(block, disk))) {
        const text = await readFile(join(block, disk, name, 'partition'), 'utf8').catch(() => '');
        if (Number(text) === wanted && text !== '') return join(places.dev, name);
      }
      throw new UpdateAgentError('no-slots', `the kernel knows no partition ${wanted} of ${disk}`);
    },
  };
}

async function findUsrPartition(block: string): Promise<string> {
  for (const name of await readdir(block)) {
    if (!name.startsWith('dm-')) continue;
    if ((await readFile(join(block, name, 'dm/name'), 'utf8')).trim() !== 'usr') continue;
    const [slave] = await readdir(join(block, name, 'slaves'));
    if (slave !== undefined) return slave;
  }
  throw new UpdateAgentError('no-slots', '/usr is not on dm-verity: there is nothing to update');
}

export async function readFacts(places: KernelPlaces, esp: Esp): Promise<MachineFacts & {slots: Slots}> {
  const own = await readOwn(places);
  const {partitions} = await readDisk(places);
  const slots = findSlots(partitions, own.rootHash);
  const files = await esp.list();
  const ownEntry = esp.entryOf(files, own.version);
  return {
    own,
    slots,
    slot: slots.running.name,
    bootId: await readBootId(places),
    proven: ownEntry === 'good',
    trialEntry: version => esp.entryOf(files, version),
    other: otherRelease(slots, version => esp.entryOf(files, version) === 'good'),
  };
}

/** What the machine can go back to: the idle slot's release, if its boot entry proved itself. */
function otherRelease(slots: Slots, isGood: (version: string) => boolean): StagedRelease | undefined {
  const version = slotVersion(slots.idle);
  if (version === undefined || !isGood(version)) return undefined;
  return {version, rootHash: slotRootHash(slots.idle), downgrade: true, source: 'slot'};
}
