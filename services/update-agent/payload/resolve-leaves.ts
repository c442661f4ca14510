/**
 * The leaves of the release: from the predecessor's by a delta where that is what runs here, else of runs that the
 * machine knows from its own, and the others from the store.
 */
import {createHash} from 'node:crypto';
import {readRuns, type PayloadIndex} from '../../common/payload/index-format.ts';
import {leafBytes} from '../../common/payload/layout.ts';
import {applyLeafDelta} from '../../common/payload/leaf-delta.ts';
import {planRuns, runsOf} from '../../common/payload/runs.ts';
import {checkHash, fetchPieces, fetchTable, type PieceSource} from './pieces.ts';

export interface OwnLeaves {
  readonly rootHash: string;
  /** Truncated. */
  readonly leaves: Uint8Array;
}

export async function resolveLeaves(
  source: PieceSource,
  {head}: PayloadIndex,
  own: OwnLeaves | undefined,
): Promise<Uint8Array> {
  if (own !== undefined && own.rootHash === head.patch?.from && own.leaves.length > 0) {
    const delta = await fetchTable(source, 'leaves', head.patch.leaves);
    const leaves = applyLeafDelta(delta, own.leaves, head.blocks);
    if (leaves !== undefined) return leaves;
  }
  return resolveRuns(source, head, own?.leaves ?? new Uint8Array());
}

async function resolveRuns(
  source: PieceSource,
  head: PayloadIndex['head'],
  own: Uint8Array,
): Promise<Uint8Array> {
  const runs = readRuns(await fetchTable(source, 'leaves', head.runs), head.blocks);
  const leaves = new Uint8Array(head.blocks * leafBytes);
  const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
  const plan = planRuns(runs, runsOf(own, digest));
  let at = 0;
  for (const [index, {length}] of runs.entries()) {
    const from = plan.known[index] ?? -1;
    const size = length * leafBytes;
    if (from >= 0) leaves.set(own.subarray(from, from + size), at);
    at += size;
  }
  await fetchPieces(
    source,
    'leaves',
    plan.unknown.map(({run, offset, size}) => ({
      offset: head.leaves.offset + offset,
      size,
      accept: async bytes => {
        checkHash(bytes, runs[run]?.hash ?? new Uint8Array(), {run});
        leaves.set(bytes, offset);
      },
    })),
  );
  return leaves;
}
