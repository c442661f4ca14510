/** Runs of leaves: the index carries only their hashes, so the leaves of unchanged runs never travel. */
import {cutLengths} from './cut.ts';
import {leafBytes, runCut, type Digest} from './layout.ts';

export interface Run {
  /** Blocks. */
  readonly length: number;
  /** First bytes of the SHA-256 of its truncated leaves. */
  readonly hash: Uint8Array;
}

export const runHashBytes = 12;

/** Cuts the leaves of a release into runs and hashes each. */
export function runsOf(leaves: Uint8Array, digest: Digest): Run[] {
  let at = 0;
  return cutLengths(leaves, leaves.length / leafBytes, runCut).map(length => {
    const bytes = leaves.subarray(at, at + length * leafBytes);
    at += bytes.length;
    return {length, hash: digest(bytes).subarray(0, runHashBytes)};
  });
}

export interface RunPlan {
  /** For each run of the target the offset in the own leaves where the same run starts, or -1. */
  readonly known: Int32Array;
  /** Ranges to fetch, relative to the leaves in the store, each of the runs `first` to `last`. */
  readonly unknown: readonly {readonly run: number; readonly offset: number; readonly size: number}[];
}

/** Which runs the machine knows from the leaves of what it runs. */
export function planRuns(target: readonly Run[], own: readonly Run[]): RunPlan {
  const offsets = new Map<string, number>();
  let at = 0;
  for (const run of own) {
    const name = nameOf(run);
    if (!offsets.has(name)) offsets.set(name, at);
    at += run.length * leafBytes;
  }
  const known = Int32Array.from(target, run => offsets.get(nameOf(run)) ?? -1);
  const unknown: {run: number; offset: number; size: number}[] = [];
  let offset = 0;
  for (const [index, run] of target.entries()) {
    const size = run.length * leafBytes;
    if (known[index] === -1) unknown.push({run: index, offset, size});
    offset += size;
  }
  return {known, unknown};
}

function nameOf({length, hash}: Run): string {
  return `${length}:${String.fromCharCode(...hash)}`;
}
