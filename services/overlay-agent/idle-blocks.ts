/** Blocks that this host holds and does not need: they go back, so that others may have them. Pure. */
import {contains, formatPrefix, parseAddress, sizeOf, type Prefix} from '../common/ipv4.ts';
import {ownBlocks} from './addresses.ts';
import type {AgentRecord} from './record.ts';
import type {FollowedState} from './state.ts';

/** How long a block is kept without a single address of it in use, unless the host was told otherwise. */
export const idleMs = 10 * 60_000;
/** Addresses that stay free here, for containers that start while the server is away. */
const KEEP_FREE = 4;

export interface Block {
  readonly network: string;
  /** As in its lease. */
  readonly block: string;
}

/** Since when (ms) each block has been idle, from what was known a while ago; those in use are not in it. */
export function idleSince(
  before: ReadonlyMap<string, number>,
  state: FollowedState,
  record: AgentRecord,
  machine: string,
  now: number,
): Map<string, number> {
  const idle = new Map<string, number>();
  for (const network of state.networks.keys())
    for (const block of ownBlocks(state, network, machine)) {
      const key = keyOf(network, block);
      if (usedIn(record, network, block) === 0) idle.set(key, before.get(key) ?? now);
    }
  return idle;
}

/** Those to give back now: idle for long enough, while enough stays free in the others. */
export function toGiveBack(
  idle: ReadonlyMap<string, number>,
  state: FollowedState,
  record: AgentRecord,
  machine: string,
  now: number,
  keepMs = idleMs,
): Block[] {
  const back: Block[] = [];
  for (const network of state.networks.keys()) {
    const blocks = ownBlocks(state, network, machine);
    let free = blocks.reduce((sum, block) => sum + sizeOf(block) - usedIn(record, network, block), 0);
    for (const block of blocks) {
      const since = idle.get(keyOf(network, block));
      if (since === undefined || now - since < keepMs || free - sizeOf(block) < KEEP_FREE) continue;
      free -= sizeOf(block);
      back.push({network, block: formatPrefix(block)});
    }
  }
  return back;
}

function usedIn({allocations}: AgentRecord, network: string, block: Prefix): number {
  return allocations.filter(
    each => each.network === network && contains(block, parseAddress(each.address) ?? -1),
  ).length;
}

function keyOf(network: string, block: Prefix): string {
  return `${network}/${formatPrefix(block)}`;
}
