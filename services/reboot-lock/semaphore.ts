/**
 * The rules of the reboot lock: who gets a slot, who keeps it, and what frees it. Pure: a state and a wish in, the next
 * state and an answer out.
 */
import type {ClusterFacts, LockPhase, LockRefusal, ReleaseAnswer} from '../common/contracts/lock.ts';
import {quorumObstacle} from './quorum.ts';
import type {Holder, LockState} from './record.ts';

/** What the group allows, worked out for the machine that asks. */
export interface Rules {
  readonly slots: number;
  /**
   * `one-at-a-time`: only machines of one failure domain may be away together. `one-per-domain`: no two machines of
   * the same one.
   */
  readonly domainRule: 'one-at-a-time' | 'one-per-domain';
  readonly allowQuorumLoss: boolean;
  /** Why the rollout stopped; then nobody new goes. */
  readonly halted?: string | undefined;
}

export interface Wish {
  readonly machine: string;
  readonly name: string;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly domain?: string | undefined;
  readonly clusters: readonly ClusterFacts[];
  readonly expectedSeconds: number;
  readonly via: Holder['via'];
}

export type Refusal = LockRefusal;

export type Acquired =
  | {readonly kind: 'granted' | 'held-already'; readonly next: LockState; readonly holder: Holder}
  | {readonly kind: 'refused'; readonly refusal: Refusal};

/**
 * Asks for a slot. Who holds one gets it again, before anything else is looked at (locksmith#58), with its fence and
 * its deadline as they were. `elsewhere` are the holders of other groups, which count for clusters only.
 */
export function acquire(
  state: LockState,
  wish: Wish,
  rules: Rules,
  elsewhere: readonly Holder[],
  now: Date,
): Acquired {
  const mine = find(state, wish.machine);
  if (mine !== undefined) {
    const holder = {...mine, ...(wish.to === undefined ? {} : {to: wish.to})};
    return {kind: 'held-already', next: mine.to === holder.to ? state : replace(state, holder), holder};
  }
  const refusal = obstacle(state, wish, rules, elsewhere, now);
  if (refusal !== undefined) return {kind: 'refused', refusal};
  const holder: Holder = {
    slot: freeSlot(state),
    machine: wish.machine,
    name: wish.name,
    phase: 'draining',
    since: now.toISOString(),
    deadline: new Date(now.getTime() + wish.expectedSeconds * 1000).toISOString(),
    clusters: [...wish.clusters],
    via: wish.via,
    ...(wish.from === undefined ? {} : {from: wish.from}),
    ...(wish.to === undefined ? {} : {to: wish.to}),
    ...(wish.domain === undefined ? {} : {domain: wish.domain}),
  };
  return {kind: 'granted', next: {...state, holders: [...state.holders, holder]}, holder};
}

function obstacle(
  state: LockState,
  wish: Wish,
  rules: Rules,
  elsewhere: readonly Holder[],
  now: Date,
): Refusal | undefined {
  const refuse = (kind: LockRefusal['kind'], message: string) => refusalOf(state, kind, message);
  if (rules.halted !== undefined) return refuse('halted', rules.halted);
  const late = state.holders.find(holder => isOverdue(holder, now));
  if (late !== undefined) return refuse('halted', overdueText(late));
  if (state.holders.length >= rules.slots) {
    const named = state.holders.slice(0, NAMED).map(holder => `${holder.name} (${holder.phase})`);
    const more = state.holders.length - named.length;
    const others = more === 0 ? '' : ` and ${more} more`;
    const held = `${state.holders.length} of ${rules.slots} held`;
    return refuse('all-slots-held', `${held}: ${named.join(', ')}${others}`);
  }
  const overlapping = state.holders.find(holder =>
    domainsClash(holder.domain, wish.domain, rules.domainRule),
  );
  if (overlapping !== undefined) {
    const where = overlapping.domain ?? 'no failure domain';
    return refuse('domain-held', `${overlapping.name} of ${where} is away (${overlapping.phase})`);
  }
  for (const facts of wish.clusters) {
    const lost = quorumObstacle(facts, [...state.holders, ...elsewhere], rules.allowQuorumLoss);
    if (lost !== undefined) return refuse('quorum', lost);
  }
  return undefined;
}

/** Holders that a refusal names, oldest first: with a thousand slots it would else be a hundred kilobytes for each who waits. */
const NAMED = 8;

function refusalOf(state: LockState, kind: LockRefusal['kind'], message: string): Refusal {
  const holders = state.holders
    .slice(0, NAMED)
    .map(({machine, name, phase, since}) => ({machine, name, phase, since}));
  return {kind, message, holders};
}

/** The free slots are for those who have waited longer. */
export function othersFirst(state: LockState): Refusal {
  return refusalOf(state, 'all-slots-held', 'a slot is free, and others have waited for it longer');
}

function domainsClash(a: string | undefined, b: string | undefined, rule: Rules['domainRule']): boolean {
  return rule === 'one-at-a-time' ? a !== b : a !== undefined && a === b;
}

/** Records what the holder is doing. Undefined: the slot is no longer its own. */
export function setPhase(
  state: LockState,
  machine: string,
  fence: string,
  phase: LockPhase,
): LockState | undefined {
  const holder = find(state, machine);
  if (holder === undefined || holder.fence !== fence) return undefined;
  return holder.phase === phase ? state : replace(state, {...holder, phase});
}

export interface Proof {
  readonly fence?: string | undefined;
  readonly version: string;
  readonly rebooted?: boolean | undefined;
}

export type Released =
  | {readonly kind: 'fenced'}
  | {readonly kind: ReleaseAnswer['outcome']; readonly next: LockState; readonly holder?: Holder};

/**
 * A healthy machine gives its slot back. On another version than it took the slot for, its update failed, unless it
 * never rebooted. A fence of an earlier grant frees nothing.
 */
export function release(state: LockState, machine: string, proof: Proof): Released {
  const holder = find(state, machine);
  if (holder === undefined) return {kind: 'nothing-held', next: state};
  if (proof.fence !== undefined && proof.fence !== holder.fence) return {kind: 'fenced'};
  const next = withoutHolder(state, machine);
  if (holder.to === undefined || holder.to === proof.version) return {kind: 'updated', next, holder};
  const stayed = holder.from === proof.version && !(proof.rebooted ?? holder.phase !== 'draining');
  return {kind: stayed ? 'put-off' : 'failed', next, holder};
}

/** Notes that the machine layer cut and restored this holder's power. */
export function markPowerCycled(
  state: LockState,
  machine: string,
  fence: string,
  at: Date,
): LockState | undefined {
  const holder = find(state, machine);
  if (holder === undefined || holder.fence !== fence || holder.powerCycled !== undefined) return undefined;
  return replace(state, {...holder, powerCycled: at.toISOString()});
}

/** The state without this machine's slot: an operator's word, or the machine layer's. */
export function withoutHolder(state: LockState, machine: string): LockState {
  return {...state, holders: state.holders.filter(holder => holder.machine !== machine)};
}

export function find(state: LockState, machine: string): Holder | undefined {
  return state.holders.find(holder => holder.machine === machine);
}

export function isOverdue(holder: Holder, now: Date): boolean {
  return Date.parse(holder.deadline) < now.getTime();
}

export function overdueText(holder: Holder): string {
  return `${holder.name} should have been back by ${holder.deadline} (${holder.phase}); nobody else goes until it is`;
}

/** Why nobody of the group gets a slot, whoever asks. */
export function haltReason(state: LockState, halted: string | undefined, now: Date): string | undefined {
  if (halted !== undefined) return halted;
  const late = state.holders.find(holder => isOverdue(holder, now));
  return late === undefined ? undefined : overdueText(late);
}

function freeSlot(state: LockState): number {
  const taken = new Set(state.holders.map(holder => holder.slot));
  let slot = 1;
  while (taken.has(slot)) slot++;
  return slot;
}

function replace(state: LockState, holder: Holder): LockState {
  return {...state, holders: state.holders.map(other => (other.machine === holder.machine ? holder : other))};
}
