/** What the machines of polls.ts say at every poll, and what the server knew of them before: the same. */
import type {CheckRequest} from '../../services/common/contracts/fleet.ts';

export function reportOf(number: number): CheckRequest {
  return {
    name: `m${number}`,
    version: number % 2 === 0 ? '1.0.0' : '2.0.0',
    rootHash: 'ab'.repeat(32),
    slot: 'a',
    bootId: 'boot',
    phase: 'idle',
    labels: {role: 'web', zone: `z${number % 3}`},
    failed: [],
    events: [],
  };
}
