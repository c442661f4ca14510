/** The locks as operators see them. */
import type {HeldSlot, LockList} from '../common/contracts/lock.ts';
import {describeError} from '../common/errors.ts';
import type {LockPolicies, LockStore} from './ports.ts';
import type {Holder} from './record.ts';
import {haltReason, isOverdue} from './semaphore.ts';
import {rulesOf} from './service.ts';
import type {Clock} from '../common/clock.ts';

export function toHeldSlot(holder: Holder, now: Date): HeldSlot {
  const {clusters: _, fence = '0', ...rest} = holder;
  return {...rest, fence, overdue: isOverdue(holder, now)};
}

/** Every group that ever had a holder. One whose value cannot be read says so and has no holders. */
export async function listLocks(deps: {
  readonly store: LockStore;
  readonly policies: LockPolicies;
  readonly clock: Clock;
}): Promise<LockList> {
  const now = deps.clock.now();
  const groups: LockList['groups'] = [];
  for (const [group, entry] of (await deps.store.read()).groups) {
    const policy = await deps.policies.ofGroup(group);
    const slots = policy === undefined ? {} : {slots: rulesOf(policy).slots};
    if (entry.kind === 'unreadable') {
      groups.push({group, ...slots, halted: describeError(entry.error), holders: []});
      continue;
    }
    const reason = haltReason(entry.state, policy?.halted, now);
    const halted = reason === undefined ? {} : {halted: reason};
    groups.push({
      group,
      ...slots,
      ...halted,
      holders: entry.state.holders.map(holder => toHeldSlot(holder, now)),
    });
  }
  return {groups};
}
