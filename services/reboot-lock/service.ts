/** The lock's verbs: the pure rules run through the group queue, with policies and reports around them. */
import type {Clock} from '../common/clock.ts';
import type {AcquireAnswer, LockPhase, ReleaseAnswer} from '../common/contracts/lock.ts';
import {LockError} from './errors.ts';
import type {AuditEntry, GroupPolicy, LockEvents, LockPolicies, LockPolicy, LockStore} from './ports.ts';
import type {GroupQueue, Operation} from './queue.ts';
import type {Holder} from './record.ts';
import {
  acquire,
  find,
  markPowerCycled,
  othersFirst,
  release,
  setPhase,
  withoutHolder,
  type Acquired,
  type Proof,
  type Refusal,
  type Released,
  type Rules,
  type Wish,
} from './semaphore.ts';
import {slotCount} from './slots.ts';
import type {WaitingRoom} from './waiting-room.ts';
import {groupHolding, holdersElsewhere} from './snapshot.ts';

export interface LockDeps {
  readonly store: LockStore;
  readonly queue: GroupQueue;
  readonly room: WaitingRoom;
  readonly policies: LockPolicies;
  readonly events: LockEvents;
  readonly clock: Clock;
}

/**
 * Whether the caller still waits for the answer. A request that reaches the store after its caller gave up (a paused
 * server, a slow etcd) must change nothing: the caller may have been refused meanwhile and not ask again, or hold a
 * newer grant.
 */
export type StillWaits = () => boolean;

const ABANDONED = 'abandoned' as const;

export type AcquireResult =
  | {readonly kind: 'granted'; readonly answer: AcquireAnswer}
  | {readonly kind: 'refused'; readonly refusal: Refusal};

/** Takes a slot for `wish.machine`, or finds the one that it has, in whatever group that is. */
export async function takeSlot(
  deps: LockDeps,
  policy: LockPolicy,
  wish: Omit<Wish, 'domain'>,
  stillWaits: StillWaits = () => true,
): Promise<AcquireResult> {
  const rules = rulesOf(policy);
  const ask: Wish = {...wish, domain: policy.domain};
  deps.room.enter(policy.group, wish.machine, deps.clock.now());
  const {answer, revision} = await deps.queue.run<
    Acquired | {kind: 'elsewhere'; group: string} | {kind: typeof ABANDONED}
  >(policy.group, wish.machine, (state, snapshot) => {
    if (!stillWaits()) return {answer: {kind: ABANDONED}};
    const held = groupHolding(snapshot, wish.machine);
    if (held !== undefined && held !== policy.group) return {answer: {kind: 'elsewhere', group: held}};
    const now = deps.clock.now();
    const elsewhere = ask.clusters.length === 0 ? [] : holdersElsewhere(snapshot, policy.group);
    const result = acquire(state, ask, rules, elsewhere, now);
    if (result.kind === 'refused') return {answer: result};
    const free = rules.slots - state.holders.length;
    if (result.kind === 'granted' && !deps.room.mayGo(policy.group, wish.machine, free, now)) {
      return {answer: {kind: 'refused', refusal: othersFirst(state)}};
    }
    return {answer: result, next: result.next, allGroups: ask.clusters.length > 0};
  });
  if (answer.kind === ABANDONED) throw abandoned(wish.machine);
  if (answer.kind === 'elsewhere') {
    // The machine was moved to another group while it held a slot: it keeps that slot until it gives it back.
    const old = await deps.queue.run(answer.group, wish.machine, state => ({
      answer: find(state, wish.machine),
    }));
    if (old.answer !== undefined) return granted(answer.group, old.answer, old.revision);
    throw new LockError('contended', `the slot of ${wish.name} in group ${answer.group} was just released`, {
      remedy: 'ask again',
    });
  }
  if (answer.kind === 'refused') return answer;
  deps.room.leave(policy.group, wish.machine);
  return granted(policy.group, answer.holder, revision);
}

function granted(group: string, holder: Holder, revision: string): AcquireResult {
  return {kind: 'granted', answer: {group, fence: holder.fence ?? revision, deadline: holder.deadline}};
}

/** Records the holder's phase. Throws {@link LockError} `fenced` when the slot is not its own any more. */
export async function reportPhase(
  deps: LockDeps,
  group: string | undefined,
  machine: string,
  report: {readonly fence: string; readonly phase: LockPhase},
): Promise<void> {
  const ok = await whereHeld(deps, group, machine, false, state => {
    const next = setPhase(state, machine, report.fence, report.phase);
    return {answer: next !== undefined, next};
  });
  if (!ok) throw fenced(machine);
}

/** Gives a slot back on proof of health; a failed update is reported before the slot is free. */
export async function releaseSlot(
  deps: LockDeps,
  group: string | undefined,
  machine: string,
  proof: Proof,
  stillWaits: StillWaits = () => true,
): Promise<ReleaseAnswer> {
  let reported: string | undefined;
  for (;;) {
    const result = await whereHeld<(Released & {readonly group: string}) | typeof ABANDONED>(
      deps,
      group,
      machine,
      {kind: 'nothing-held', next: {group: '', holders: []}, group: ''},
      state => {
        if (!stillWaits()) return {answer: ABANDONED};
        const released = {...release(state, machine, proof), group: state.group};
        const mustReport = released.kind === 'failed' && released.holder?.fence !== reported;
        if (released.kind === 'fenced' || mustReport) return {answer: released};
        return {answer: released, next: released.next};
      },
    );
    if (result === ABANDONED) throw abandoned(machine);
    if (result.kind === 'fenced') throw fenced(machine);
    const {kind, holder} = result;
    if (kind !== 'failed' || holder === undefined || holder.fence === reported) return {outcome: kind};
    await deps.events.updateFailed({
      group: result.group,
      machine,
      name: holder.name,
      from: holder.from,
      to: holder.to ?? '',
      runs: proof.version,
      fence: holder.fence ?? '',
    });
    reported = holder.fence;
  }
}

/** FleetLock's steady-state: frees a slot that was taken over FleetLock, and no other. */
export async function steadyState(
  deps: LockDeps,
  group: string,
  machine: string,
  stillWaits: StillWaits = () => true,
): Promise<'released' | 'nothing-held' | 'not-proven'> {
  const {answer} = await deps.queue.run(group, machine, state => {
    if (!stillWaits()) return {answer: ABANDONED};
    const holder = find(state, machine);
    if (holder === undefined) return {answer: 'nothing-held' as const};
    if (holder.via !== 'fleet-lock') return {answer: 'not-proven' as const};
    return {answer: 'released' as const, next: withoutHolder(state, machine)};
  });
  if (answer === ABANDONED) throw abandoned(machine);
  return answer;
}

/** Takes the slot of a machine, named by UUID or name, away. Throws {@link LockError} `not-held`. */
export async function takeAway(
  deps: LockDeps,
  group: string,
  machine: string,
  by: Pick<AuditEntry, 'actor' | 'action' | 'reason'>,
): Promise<Holder> {
  const {answer} = await deps.queue.run(group, machine, state => {
    const holder = state.holders.find(({machine: uuid, name}) => uuid === machine || name === machine);
    if (holder === undefined) return {answer: undefined};
    const audit = {...by, at: deps.clock.now().toISOString(), group, machine: holder.machine};
    return {answer: holder, next: withoutHolder(state, holder.machine), audit};
  });
  if (answer !== undefined) return answer;
  throw new LockError('not-held', `${machine} holds no slot in group ${group}`, {
    remedy: 'hawser lock ls shows who holds one',
  });
}

/** Frees the slots of a machine that exists no more; returns their groups. */
export async function freeGone(deps: LockDeps, machine: string, actor: string): Promise<string[]> {
  const freed: string[] = [];
  const snapshot = await deps.store.read();
  for (const [group, entry] of snapshot.groups) {
    if (entry.kind === 'unreadable' || find(entry.state, machine) === undefined) continue;
    const by = {actor, action: 'lock-freed-machine-gone', reason: 'the machine exists no more'} as const;
    try {
      await takeAway(deps, group, machine, by);
      freed.push(group);
    } catch (error) {
      if (!(error instanceof LockError && error.code === 'not-held')) throw error;
    }
  }
  return freed;
}

/** Notes a power cycle before it is made, so that it is made once. False: someone else noted it, or the slot is free. */
export async function notePowerCycle(deps: LockDeps, group: string, holder: Holder): Promise<boolean> {
  const at = deps.clock.now();
  const {machine, fence} = holder;
  if (fence === undefined) return false;
  const {answer} = await deps.queue.run(group, machine, state => {
    const next = markPowerCycled(state, machine, fence, at);
    if (next === undefined) return {answer: false};
    const reason = `its deadline ${holder.deadline} passed (${holder.phase})`;
    const audit = {
      at: at.toISOString(),
      actor: 'watchdog',
      action: 'lock-power-cycled',
      group,
      machine,
      reason,
    } as const;
    return {answer: true, next, audit};
  });
  return answer;
}

/** The numbers that the rules need, from the group's policy. */
export function rulesOf(policy: GroupPolicy): Rules {
  return {
    slots: slotCount(policy.slots, policy.machines),
    domainRule: policy.domainRule ?? 'one-at-a-time',
    allowQuorumLoss: policy.allowQuorumLoss,
    halted: policy.halted,
  };
}

/**
 * Runs `operation` on the machine's own group, or on the one where it still holds a slot from before it was moved.
 * `none` is the answer when there is no such group.
 */
async function whereHeld<Answer>(
  deps: LockDeps,
  group: string | undefined,
  machine: string,
  none: Answer,
  operation: Operation<Answer>,
): Promise<Answer> {
  if (group !== undefined) {
    const {answer} = await deps.queue.run<Answer | 'not-here'>(group, machine, (state, snapshot) =>
      find(state, machine) === undefined && groupHolding(snapshot, machine) !== undefined
        ? {answer: 'not-here'}
        : operation(state, snapshot),
    );
    if (answer !== 'not-here') return answer;
  }
  const holding = groupHolding(await deps.store.read(), machine);
  if (holding === undefined) return none;
  return (await deps.queue.run(holding, machine, operation)).answer;
}

function fenced(machine: string): LockError {
  return new LockError('fenced', `the slot is no longer held by ${machine} with this fence`, {
    remedy: 'stop, and ask for a slot again',
  });
}

function abandoned(machine: string): LockError {
  return new LockError('abandoned', `${machine} did not wait for the answer; nothing was changed`, {
    remedy: 'ask again',
  });
}
