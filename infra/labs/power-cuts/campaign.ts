/** Rebuilds the disks of thousands of power cuts from one recording, and judges each without booting it. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {openFileSource} from '../../../services/common/formats/file-source.ts';
import {createRandom} from '../random.ts';
import {areaOf, readLayout, type AreaName, type Layout} from './areas.ts';
import {checkDisk, type DiskVerdict} from './check-disk.ts';
import {checkRoot} from './check-root.ts';
import {epochsOf, keptWrites, planCuts, type Cut, type Epoch} from './cuts.ts';
import {openWriteLog, type LoggedEntry} from './log-file.ts';
import {RebuiltDisk} from './rebuilt-disk.ts';
import {filesOf, loadRecording} from './recording.ts';
import {holdsFile, knownRelease, type KnownRelease} from './releases.ts';
import {sliceSource, type ByteSource} from '../../../services/common/formats/byte-source.ts';

export interface CampaignOptions {
  /** Folder of the recording. */
  readonly folder: string;
  /** For the disks, about 3 GB; memory is quickest (/dev/shm). */
  readonly work: string;
  readonly cuts: number;
  /** Of so many cuts, one has its root judged too: that costs most. */
  readonly rootEvery: number;
  readonly seed: number;
  /** What would be found if flushes meant nothing: the campaign must then find violations. */
  readonly ignoreFlushes: boolean;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface Judged {
  readonly cut: Cut;
  /** What happened last before it, by the recording's milestones. */
  readonly after: string;
  /** The release that the server wanted. */
  readonly wanted: string;
  /** Areas with writes that were not flushed. */
  readonly areas: readonly AreaName[];
  readonly verdict: DiskVerdict;
  /** Absent when the root was not judged. */
  readonly phase?: string;
  readonly problems: readonly string[];
}

export interface CampaignResult {
  readonly entries: number;
  readonly flushes: number;
  readonly judged: readonly Judged[];
  readonly rootsJudged: number;
}

/** How much likelier a cut is in an epoch that writes there. */
const weights: Readonly<Record<AreaName, number>> = {
  'gpt-primary': 12,
  'gpt-backup': 12,
  'esp-tables': 12,
  'esp-data': 6,
  'data-a': 2,
  'tree-a': 2,
  'data-b': 2,
  'tree-b': 2,
  root: 0.25,
  other: 1,
};

export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const {folder, work, signal, log} = options;
  const files = filesOf(folder);
  const recording = await loadRecording(folder);
  await using writes = await openWriteLog(files.log);
  const base = await openFileSource(files.base);
  const layout = await readLayout(base);
  await base.close();
  const releases: KnownRelease[] = [];
  for (const {image} of recording.releases) releases.push(await knownRelease(image));
  const {entries} = writes;
  const epochs = options.ignoreFlushes ? [{first: 0, end: entries.length}] : epochsOf(entries);
  const areas = epochs.map(epoch => areasOf(epoch, entries, layout));
  const random = createRandom(options.seed);
  const indices = new Map(epochs.map((epoch, index) => [epoch, index]));
  const cuts = planCuts(
    epochs,
    epoch => Math.max(0, ...(areas[indices.get(epoch) ?? -1] ?? []).map(name => weights[name])),
    options.cuts,
    random,
  );
  log(`${entries.length} entries, ${epochs.length - 1} flushes, ${cuts.length} cuts`);

  await using disk = await RebuiltDisk.create(writes, layout, {base: files.base, folder: work});
  const proofs = new Map<string, boolean>();
  const judged: Judged[] = [];
  let rootsJudged = 0;
  let said = Date.now();
  for (const [index, cut] of cuts.entries()) {
    signal.throwIfAborted();
    const epoch = epochs[cut.epoch];
    if (epoch === undefined) throw new Error(`there is no epoch ${cut.epoch}`);
    await disk.advance(epoch.first);
    const kept = keptWrites(entries, epoch, cut.at, createRandom(cut.seed));
    const touched = new Set(kept.map(({entry}) => areaOf(layout, entries[entry]?.offset ?? 0)));
    // What is read of it lies outside the root, which has its own check.
    const outside = kept.filter(({entry}) => areaOf(layout, entries[entry]?.offset ?? 0) !== 'root');
    const view = disk.view(outside);
    const slotHolds = (slot: 0 | 1, release: KnownRelease) =>
      slotProof(view, layout, slot, release, {disk, touched, proofs});
    const verdict = await checkDisk(view, {layout, releases, slotHolds});
    let root: Awaited<ReturnType<typeof checkRoot>> | undefined;
    if (index % options.rootEvery === 0) {
      const copy = join(work, 'root-copy.raw');
      await disk.copyRoot(kept, copy);
      root = await checkRoot(copy, verdict, layout);
      rootsJudged += 1;
      await rm(copy);
    }
    const problems = [...verdict.problems, ...(root?.problems ?? [])];
    const logBytes = entries[cut.at - 1]?.dataAt ?? 0;
    const milestone = recording.milestones.findLast(one => one.logBytes <= logBytes);
    judged.push({
      cut,
      after: milestone?.what ?? 'the recording began',
      wanted: milestone?.wanted ?? recording.releases[1]?.version ?? '',
      areas: areas[cut.epoch] ?? [],
      verdict,
      ...(root?.phase === undefined ? {} : {phase: root.phase}),
      problems,
    });
    for (const problem of problems) log(`VIOLATION cut ${cut.at} seed ${cut.seed}: ${problem}`);
    if (Date.now() - said > 15_000) {
      said = Date.now();
      log(`${index + 1} of ${cuts.length} disks judged`);
    }
  }
  return {entries: entries.length, flushes: epochs.length - 1, judged, rootsJudged};
}

function areasOf({first, end}: Epoch, entries: readonly LoggedEntry[], layout: Layout): AreaName[] {
  const names = entries
    .slice(first, end)
    .filter(entry => entry.dataLength > 0)
    .map(entry => areaOf(layout, entry.offset));
  return [...new Set(names)];
}

/** A slot is compared with its release once, and again when something was written there. */
async function slotProof(
  view: ByteSource,
  layout: Layout,
  slot: 0 | 1,
  release: KnownRelease,
  {disk, touched, proofs}: {disk: RebuiltDisk; touched: ReadonlySet<AreaName>; proofs: Map<string, boolean>},
): Promise<boolean> {
  const partitions = layout.slots[slot];
  if (partitions === undefined) return false;
  const names: readonly AreaName[] = slot === 0 ? ['data-a', 'tree-a'] : ['data-b', 'tree-b'];
  const compare = async () => {
    const part = ({offset, size}: {offset: number; size: number}) => sliceSource(view, offset, size);
    return (
      (await holdsFile(part(partitions.data), release.usr)) &&
      (await holdsFile(part(partitions.tree), release.tree))
    );
  };
  if (names.some(name => touched.has(name))) return compare();
  const last = Math.max(
    ...layout.areas.filter(area => names.includes(area.name)).map(area => disk.lastChange(area)),
  );
  const key = `${slot} ${release.version} ${last}`;
  const known = proofs.get(key) ?? (await compare());
  proofs.set(key, known);
  return known;
}
