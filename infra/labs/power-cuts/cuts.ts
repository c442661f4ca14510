/**
 * Where the power is cut, and what of the writes that were not flushed is on the disk then. The rule of a disk with a
 * volatile cache: what was complete before a flush stays; of what came after it, each write may be there, not there, or
 * there in some of its sectors, in any combination.
 */
import {between, type Random} from '../random.ts';
import type {LogEntry} from './write-log.ts';

/** The writes between two flushes: indices of entries, from `first` to before `end`. */
export interface Epoch {
  readonly first: number;
  readonly end: number;
}

export interface Cut {
  /** Index of the epoch. */
  readonly epoch: number;
  /** The power goes before this entry. */
  readonly at: number;
  readonly seed: number;
}

/** A part of a write that is on the disk: bytes from the start of the entry's data. */
export interface Kept {
  readonly entry: number;
  readonly from: number;
  readonly length: number;
}

const SECTOR = 512;

/** Splits a log at its flushes. An entry that flushes and writes belongs to what comes after the flush. */
export function epochsOf(entries: readonly Pick<LogEntry, 'flush'>[]): Epoch[] {
  const epochs: Epoch[] = [];
  let first = 0;
  for (const [index, entry] of entries.entries()) {
    if (!entry.flush) continue;
    epochs.push({first, end: index});
    first = index;
  }
  epochs.push({first, end: entries.length});
  return epochs;
}

/**
 * Plans `total` cuts over the epochs, by weight; an epoch of weight 0 gets none, every other one at least one, so there
 * may be more. In the order of the log.
 */
export function planCuts(
  epochs: readonly Epoch[],
  weightOf: (epoch: Epoch) => number,
  total: number,
  random: Random,
): Cut[] {
  const weights = epochs.map(weightOf);
  const sum = weights.reduce((a, b) => a + b, 0);
  return epochs.flatMap(({first, end}, epoch) => {
    const weight = weights[epoch] ?? 0;
    const times = weight === 0 ? 0 : Math.max(1, Math.round((weight / sum) * total));
    return Array.from({length: times}, () => ({
      epoch,
      at: between(random, first, end),
      seed: between(random, 0, 2 ** 31 - 1),
    })).sort((a, b) => a.at - b.at);
  });
}

/**
 * What of the epoch's writes up to the cut is on the disk. Chance decides first how much is kept at all, since the
 * combinations at both ends (one write lost, one write kept) are the ones that programs trip over.
 */
export function keptWrites(entries: readonly LogEntry[], {first}: Epoch, at: number, random: Random): Kept[] {
  const writes = entries
    .slice(first, at)
    .flatMap((entry, index) => (entry.dataLength > 0 ? [{entry: first + index, ...entry}] : []));
  const loner = writes[Math.floor(random() * writes.length)]?.entry;
  const lonely = random();
  const share = [0, 0.1, 0.5, 0.9, 1][between(random, 0, 4)] ?? 0;
  return writes.flatMap(write => {
    if (write.fua) return [whole(write)];
    if (lonely < 0.2) return write.entry === loner ? [] : [whole(write)];
    if (lonely < 0.4) return write.entry === loner ? [whole(write)] : [];
    if (random() >= share) return [];
    return random() < 0.2 ? torn(write, random) : [whole(write)];
  });
}

interface Write {
  readonly entry: number;
  readonly dataLength: number;
}

function whole({entry, dataLength}: Write): Kept {
  return {entry, from: 0, length: dataLength};
}

/** Some sectors of a write: up to a place, from a place on, or here and there. */
function torn({entry, dataLength}: Write, random: Random): Kept[] {
  const sectors = dataLength / SECTOR;
  const place = between(random, 0, sectors);
  const run = (from: number, to: number): Kept[] =>
    from < to ? [{entry, from: from * SECTOR, length: (to - from) * SECTOR}] : [];
  const how = random();
  if (how < 0.4) return run(0, place);
  if (how < 0.6) return run(place, sectors);
  const kept: Kept[] = [];
  const step = Math.max(1, Math.ceil(sectors / 64));
  for (let from = 0; from < sectors; from += step)
    if (random() < 0.5) kept.push(...run(from, Math.min(sectors, from + step)));
  return kept;
}
