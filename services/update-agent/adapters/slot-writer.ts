/** Fills the idle slot and the ESP by the plans of slots.ts. The disk is looked at anew before every step. */
import {randomUUID} from 'node:crypto';
import {mkdir, rename, rm} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {describeError, systemErrorCode} from '../../common/errors.ts';
import {syncFolder} from '../../common/fs-atomic.ts';
import {PayloadError} from '../../common/payload/errors.ts';
import type {RepositoryFetch, StageRequest, StageResult} from '../../common/payload/ports.ts';
import {partitionType} from '../../common/contracts/slots.ts';
import {UpdateAgentError} from '../errors.ts';
import {encodeLoadOption} from '../load-option.ts';
import type {SlotPort} from '../ports.ts';
import {findSlots, planEmpty, planEsp, planFilled, planTidy, slotVersion, type Slots} from '../slots.ts';
import {blessedUkiName, newUkiName, ukiPattern} from '../uki-names.ts';
import {hashFile, loaderPlaces, replaceFile, type Esp} from './esp.ts';
import type {LoaderVariables} from './efi-variables.ts';
import {readDisk, readOwn, type KernelPlaces, type SlotDisk} from './facts.ts';
import {changePartitions} from './gpt-disk.ts';

export interface SlotWriterOptions {
  readonly places: KernelPlaces;
  readonly esp: Esp;
  readonly variables: LoaderVariables;
  readonly stagePayload: (request: StageRequest) => Promise<StageResult>;
  readonly fetch: RepositoryFetch;
  readonly bytesPerSecond: number | undefined;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export function slotWriter(options: SlotWriterOptions): SlotPort {
  const {places, esp, variables, log} = options;
  const ukiTemporary = (version: string) => esp.path(newUkiName(version));
  const loaderTemporary = join(esp.mount, `${loaderPlaces.first}.new`);

  async function look(): Promise<{disk: SlotDisk; slots: Slots; own: {version: string; rootHash: string}}> {
    const own = await readOwn(places);
    const disk = await readDisk(places);
    return {disk, slots: findSlots(disk.partitions, own.rootHash), own};
  }

  return {
    async stage(release, repositories, onProgress) {
      try {
        const {disk, slots, own} = await look();
        await clearEsp(release, own.version);
        // Before a byte of it changes, nothing may boot it: neither by its UKI, which is gone, nor by its UUIDs.
        if (slotVersion(slots.idle) !== undefined) {
          await changePartitions(disk.place, planEmpty(slots, {data: randomUUID(), tree: randomUUID()}));
        }
        await mkdir(dirname(loaderTemporary), {recursive: true});
        const result = await options.stagePayload({
          manifest: release,
          repositories,
          fetch: options.fetch,
          running: {
            usrDevice: await disk.device(slots.running.data.number),
            treeDevice: await disk.device(slots.running.tree.number),
            ukiPath: esp.path(blessedUkiName(own.version)),
            bootLoaderPath: join(esp.mount, loaderPlaces.first),
            rootHash: own.rootHash,
          },
          target: {
            usrDevice: await disk.device(slots.idle.data.number),
            treeDevice: await disk.device(slots.idle.tree.number),
          },
          ukiOut: ukiTemporary(release.version),
          bootLoaderOut: loaderTemporary,
          bytesPerSecond: options.bytesPerSecond,
          onProgress: ({fetchedBytes, doneBytes, totalBytes}) =>
            onProgress({bytesFetched: fetchedBytes, share: totalBytes === 0 ? 0 : doneBytes / totalBytes}),
          signal: options.signal,
        });
        onProgress({bytesFetched: result.fetchedBytes, share: 1});
        log(
          `fetched ${result.fetchedBytes} bytes in ${result.requests} requests, ${result.copiedBytes} were here`,
        );
        return {kind: 'slot-written'};
      } catch (error) {
        return stageProblem(error);
      }
    },

    async placeUki({version, rootHash}) {
      try {
        const {disk, slots} = await look();
        await changePartitions(disk.place, planFilled(slots, {version, rootHash}));
        await esp.place(version);
        // The loader runs from the other place until this one has booted: see tidy.
        await rename(loaderTemporary, join(esp.mount, loaderPlaces.first));
        await syncFolder(dirname(loaderTemporary));
        return {kind: 'uki-placed'};
      } catch (error) {
        const detail = describeError(error);
        return {kind: systemErrorCode(error) === 'ENOSPC' ? 'esp-full' : 'place-failed', detail};
      }
    },

    async arm(release) {
      try {
        await esp.arm(release.version);
        // The loader boots the newest by itself; an older one has to be asked for.
        if (release.downgrade) await variables.setOneShot(ukiPattern(release.version).toLowerCase());
        await tryLoader().catch((error: unknown) => {
          log(`the new boot loader will not be tried: ${describeError(error)}`);
        });
        return {kind: 'armed'};
      } catch (error) {
        return {kind: 'arm-failed', detail: describeError(error)};
      }
    },

    disarm: ({version, source}) => esp.disarm(version, source),

    async drop(version) {
      try {
        const {disk, slots, own} = await look();
        const files = await esp.list();
        await esp.remove(
          files
            .filter(file => file.version === version && (file.staged || version !== own.version))
            .map(file => file.name),
        );
        await changePartitions(disk.place, planEmpty(slots, {data: randomUUID(), tree: randomUUID()}));
        return {kind: 'dropped'};
      } catch (error) {
        return {kind: 'drop-failed', detail: describeError(error)};
      }
    },

    async tidy() {
      const {slots, own} = await look();
      const keep = [own.version, slotVersion(slots.idle)].filter(version => version !== undefined);
      await esp.remove(planTidy(await esp.list(), keep));
      await keepLoader();
    },
  };

  async function clearEsp(
    release: {
      readonly version: string;
      readonly uki: {readonly size: number};
      readonly bootLoader: {readonly size: number};
    },
    running: string,
  ): Promise<void> {
    const files = await esp.list();
    const proven = esp.entryOf(files, running) === 'good';
    const wanted = {
      version: release.version,
      ukiBytes: release.uki.size,
      loaderBytes: 2 * release.bootLoader.size, // its second place is filled after the boot
    };
    const plan = planEsp(files, {version: running, proven}, wanted, await esp.free());
    await esp.remove(plan.remove);
    await rm(loaderTemporary, {force: true});
  }

  /** A new loader boots once, by a request to the firmware; if it does not, the next boot is by the old one again. */
  async function tryLoader(): Promise<void> {
    if (await sameLoaders()) return;
    const {disk} = await look();
    const partition = disk.partitions.find(one => one.type === partitionType.esp);
    if (partition === undefined) throw new UpdateAgentError('no-esp', 'the disk has no EFI system partition');
    const path = `\\${loaderPlaces.first.replaceAll('/', '\\')}`;
    await variables.setNextOption(
      encodeLoadOption({description: 'Hawser, new boot loader', partition, path}),
    );
  }

  /** True as well when there is none to be tried. */
  async function sameLoaders(): Promise<boolean> {
    const [first, fallback] = await Promise.all(
      [loaderPlaces.first, loaderPlaces.fallback].map(place => hashFile(join(esp.mount, place))),
    );
    return first === undefined || first === fallback;
  }

  async function keepLoader(): Promise<void> {
    if (await sameLoaders()) return;
    const ran = (await variables.loaderPath())?.replaceAll('\\', '/').replace(/^\//, '').toLowerCase();
    if (ran !== loaderPlaces.first.toLowerCase()) {
      log('the new boot loader has not booted yet: the one that every firmware finds stays as it is');
      return;
    }
    await replaceFile(esp.mount, loaderPlaces.first, loaderPlaces.fallback);
    log('the boot loader that booted is now the one that every firmware finds');
  }
}

function stageProblem(error: unknown): Awaited<ReturnType<SlotPort['stage']>> {
  const detail = describeError(error);
  if (error instanceof UpdateAgentError && error.code === 'esp-full') return {kind: 'esp-full', detail};
  if (error instanceof PayloadError) {
    switch (error.code) {
      case 'repository-unreachable':
      case 'payload-missing':
        return {kind: 'fetch-unreachable', detail};
      case 'payload-damaged':
      case 'root-hash-differs':
      case 'bad-release':
        return {kind: 'payload-damaged', detail};
      case 'payload-too-new':
      case 'slot-too-small':
      case 'slot-damaged':
      case 'aborted':
        return {kind: 'stage-failed', detail};
    }
  }
  if (systemErrorCode(error) === 'ENOSPC') return {kind: 'esp-full', detail};
  return {kind: 'stage-failed', detail};
}
